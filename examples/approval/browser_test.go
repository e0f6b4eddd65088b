package main

import (
	"os"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const install = "npm install --prefix examples"

// TestBrowser drives both windows in Chromium. SCREENSHOT names a directory to keep
// pictures of them in.
func TestBrowser(t *testing.T) {
	e2e.Need(t, "../node_modules/@stomp/stompjs", install)
	e2e.Need(t, "../node_modules/playwright-core", install)
	e2e.Need(t, "/usr/bin/chromium", "apt-get install chromium")
	for _, scenario := range []string{
		"approve",    // E-1: the whole story, by keyboard
		"deny",       // E-16
		"refresh",    // E-9
		"early",      // E-3: approved before the page registers
		"restart",    // the broker forgets everything while the page waits
		"everywhere", // E-11: all windows are closed within a second
		"expire",
		"moved",
	} {
		t.Run(scenario, func(t *testing.T) {
			s := start(t, func(o *options) {
				o.Every = 200 * time.Millisecond
				if scenario == "expire" {
					o.Wait = 15 * time.Second // the page must be there before, on a busy machine too
				}
			})
			args := []string{"browser.mjs", s.o.App, s.o.Provider, scenario}
			if dir := os.Getenv("SCREENSHOT"); dir != "" {
				args = append(args, dir)
			}
			if out := e2e.Run(t, "install Node.js", "node", args...); out != "ok\n" {
				t.Errorf("it printed %q", out)
			}
			s.nothingSecretLogged(t)
		})
	}
}
