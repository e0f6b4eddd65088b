package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
)

// UntilSignal returns the context of a command. SIGINT and SIGTERM end it: serve
// then drains, and the other commands stop. A second signal ends the process at
// once, unless serve runs, which then stops draining.
func UntilSignal() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal has its usual effect
	return ctx
}

// listen handles the operator's signals until stop is called. The first SIGINT or
// SIGTERM ends the context of the command; listen handles only the second one.
func (p *Program) listen(a *app.App, log *slog.Logger) (stop func()) {
	ends, others := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(others, append(dumpSignals(), syscall.SIGHUP)...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seen := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-ends:
				if seen++; seen > 1 {
					a.Abandon()
				}
			case s := <-others:
				if s == syscall.SIGHUP {
					a.Reload()
				} else {
					log.Info("goroutines", "stacks", string(stacks()))
				}
			}
		}
	}()
	return func() {
		signal.Stop(ends)
		signal.Stop(others)
		cancel()
		<-done
	}
}

// maxStacks bounds the dump of the goroutines in the log, in bytes.
const maxStacks = 16 << 20

// stacks returns the stacks of all goroutines.
func stacks() []byte {
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxStacks {
			return buf[:n]
		}
	}
}
