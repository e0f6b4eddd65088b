package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const install = "npm install --prefix examples"

// TestBrowser drives both windows in Chromium. SCREENSHOT names a directory to
// keep pictures of them in.
func TestBrowser(t *testing.T) {
	e2e.Need(t, "../node_modules/@stomp/stompjs", install)
	e2e.Need(t, "../node_modules/playwright-core", install)
	e2e.Need(t, "/usr/bin/chromium", "apt-get install chromium")
	scenarios := []string{
		"approve",    // E-1: the whole story, by keyboard
		"deny",       // E-16
		"refresh",    // E-9
		"early",      // E-3: approved before the page registers
		"restart",    // the broker forgets everything while the page waits
		"everywhere", // E-11: all windows are closed, soon
		"expire",
		"moved",
	}
	sites := make(map[string]*site)
	demos := make(map[string]map[string]string)
	for _, scenario := range scenarios {
		s := start(t, func(o *options) {
			o.Every = 200 * time.Millisecond
			if scenario == "expire" {
				o.Wait = 20 * time.Second // the page must be there before, on a busy machine too
			}
		})
		sites[scenario] = s
		demos[scenario] = map[string]string{"app": s.o.App, "provider": s.o.Provider}
	}
	argument, err := json.Marshal(demos)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"browser.mjs", string(argument)}
	if dir := os.Getenv("SCREENSHOT"); dir != "" {
		args = append(args, dir)
	}
	ended := make(map[string]string) // the error by scenario
	for line := range strings.Lines(e2e.Run(t, "install Node.js", "node", args...)) {
		var report struct{ Scenario, Error string }
		if err := json.Unmarshal([]byte(line), &report); err != nil {
			t.Errorf("it printed %q", line)
			continue
		}
		ended[report.Scenario] = report.Error
	}
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			if text, ok := ended[scenario]; !ok || text != "" {
				t.Errorf("it has ended: %v: %s", ok, text)
			}
			sites[scenario].nothingSecretLogged(t)
		})
	}
}
