//go:build unix

package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// Code that looks up methods by a name known only at run time, as text/template
// does, makes the linker keep all methods of the program: an eighth more of
// binary, and of memory that it takes. Where such code is reachable from main,
// unused methods are here, too. `go build -ldflags=-dumpdep` names it: what is
// marked <ReflectMethod>.
func TestUnusedMethodsAreNotLinked(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(process.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if name := "crypto/tls.(*Conn).Write"; !bytes.Contains(binary, []byte(name)) {
		t.Errorf("%s is not in the binary: do names of functions look otherwise?", name)
	}
	for _, name := range []string{"crypto/tls.(*Conn).VerifyHostname", "net.(*UDPConn).ReadMsgUDP", "text/template.(*state).evalField"} {
		if bytes.Contains(binary, []byte(name)) {
			t.Errorf("%s is in the binary", name)
		}
	}
}
