package broker_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Every broker of every test is closed in the end, and Close promises that no
// goroutine of it is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
