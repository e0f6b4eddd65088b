//go:build !nostore

package embedded

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// An engine that found no time to look whether it has started is asked again; it
// is not restarted for that.
func TestAnEngineWithoutAProcessorIsAskedAgain(t *testing.T) {
	late := server.HealthzError{Type: server.HealthzErrorConn, Error: "failed to be ready for connections after 1ms"}
	broken := server.HealthzError{Type: server.HealthzErrorStream, Error: "stream write error: no space"}
	asked := 0
	list := healthErrors(func() []server.HealthzError {
		if asked++; asked < 4 {
			return []server.HealthzError{late}
		}
		return []server.HealthzError{broken}
	})
	if len(list) != 1 || list[0] != broken || asked != 4 {
		t.Errorf("%v after %d questions", list, asked)
	}
	if list = healthErrors(func() []server.HealthzError { return []server.HealthzError{late} }); len(list) != 1 {
		t.Errorf("%v for an engine that never starts", list)
	}
}
