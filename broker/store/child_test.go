package store_test

import (
	"flag"
	"os"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

type (
	embeddedOptions = embedded.Options
	storeOptions    = store.Options
)

var subjectOf = store.SubjectOf

var large bool

func init() { flag.BoolVar(&large, "large", false, "run the tests with a million messages") }

func tempDir(t *testing.T) (string, error) { return os.MkdirTemp(t.TempDir(), "run") }
