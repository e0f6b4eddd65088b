package client

import (
	"os"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/client/internal/stomptest"
)

func TestMain(m *testing.M) { os.Exit(stomptest.Run(m)) }
