package app

import (
	"context"
	"time"
)

// httpShutdownTimeout is how long the HTTP servers wait for running requests
// after the sessions have ended.
const httpShutdownTimeout = 2 * time.Second

func (a *App) stop(listeners []*listener) {
	log, drain := a.o.Logger, a.o.Config.Drain
	log.Info("stopping", "delay", drain.Delay.String(), "spread", drain.Spread.String(), "timeout", drain.Timeout.String())
	a.notify("STOPPING=1")
	ctx, cancel := context.WithTimeout(a.patience, drain.Delay+drain.Timeout)
	defer cancel()
	// Meanwhile /readyz reports that this broker accepts no new clients.
	if err := a.broker.Drain(ctx); err != nil {
		log.Warn("drain timed out; closing the remaining sessions", "error", err)
	} else if a.sockJS != nil {
		if err := a.sockJS.Shutdown(ctx); err != nil {
			log.Warn("some polling clients have not fetched the reason for the end of their session", "error", err)
		}
	}
	a.close()
	ctx, cancel = context.WithTimeout(context.Background(), httpShutdownTimeout)
	defer cancel()
	for _, d := range listeners {
		d.close(ctx)
	}
}

// close stops fetching, then Web Flow, and then the sessions, so that Web Flow
// does not count the sessions as lost. It may be called again.
func (a *App) close() {
	a.end()
	a.fetching.Wait()
	if a.flow != nil {
		_ = a.flow.Close() // always nil
	}
	_ = a.broker.Close() // always nil
	a.closeHandlers()
	a.closeEvents()
}

// Abandon makes a draining Run stop at once. It may be called at any time, from
// any goroutine, and more than once.
func (a *App) Abandon() { a.abandon() }
