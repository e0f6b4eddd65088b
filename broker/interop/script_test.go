package interop_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/script"
)

// scriptDeadline is for a script as a whole; its tests have shorter ones.
const scriptDeadline = 8 * time.Minute

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A runner runs a script of this folder's clients, with a value for its argument.
type runner func(name string, input any)

// node returns what runs scripts with Node.
func node(t *testing.T) runner {
	t.Helper()
	path, err := exec.LookPath("node")
	script.Requires(t, err == nil, "node", "apt-get install nodejs npm")
	script.Requires(t, exists("node_modules/ws"), "broker/interop/node_modules", "cd broker/interop && npm ci")
	return func(name string, input any) {
		t.Helper()
		script.Run(t, scriptDeadline, path, "clients/"+name, script.Argument(t, input))
	}
}

// documented expects that a page of docs shows a module of clients as it is.
func documented(t *testing.T, page, module string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("clients/" + module)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```js\n"+string(code)+"```\n") {
		t.Errorf("docs/%s does not contain clients/%s as it is", page, module)
	}
}

// python returns what runs scripts with the Python that has stomp.py.
func python(t *testing.T) runner {
	t.Helper()
	const path = "/usr/bin/python3" // Debian's own, whatever else is on the PATH
	err := exec.Command(path, "-c", "import stomp").Run()
	script.Requires(t, err == nil, "python3-stomp", "apt-get install python3-stomp")
	return func(name string, input any) {
		t.Helper()
		script.Run(t, scriptDeadline, path, "-B", "clients/"+name, script.Argument(t, input)) // -B: leave no __pycache__ here
	}
}

// chromium returns the path of the browser.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	script.Requires(t, err == nil, "chromium", "apt-get install chromium")
	return path
}
