package cli

import (
	"errors"
	"testing"
	"testing/iotest"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// An import that fails may still read what it is made of. This is a data race if
// the source is not asked with care.
func TestASourceIsAskedWhileItIsRead(t *testing.T) {
	broken := errors.New("broken")
	s := &source{Reader: iotest.ErrReader(broken)}
	go func() { _, _ = s.Read(make([]byte, 1)) }() // the source keeps the error
	brokertest.Eventually(t, "the source has failed", func() bool { return errors.Is(s.failed(), broken) })
}
