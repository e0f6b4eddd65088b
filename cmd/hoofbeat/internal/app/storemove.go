package app

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// ExportStore writes everything in the store of a configuration, which no
// broker uses, to w. An error is as of [CheckStore], or one of w.
func ExportStore(ctx context.Context, c *config.Config, w io.Writer, progress func(embedded.Progress)) (*embedded.Report, error) {
	o, err := offline(c)
	if err != nil {
		return nil, err
	}
	r, err := embedded.Export(ctx, o, w, progress)
	return r, located(c, storeError(err))
}

// ImportStore makes the store of a configuration from what ExportStore has
// written. An error is as of [CheckStore]; one about the export is an
// [*embedded.ExportError].
func ImportStore(ctx context.Context, c *config.Config, r io.Reader, progress func(embedded.Progress)) (*embedded.Report, error) {
	o, err := offline(c)
	if err != nil {
		return nil, err
	}
	report, err := embedded.Import(ctx, o, r, progress)
	if bad := (*embedded.ExportError)(nil); errors.As(err, &bad) {
		return nil, err
	}
	return report, located(c, storeError(err))
}

// exportStore returns what writes everything in the store that this broker uses,
// or nil without a store.
func (a *App) exportStore() func(context.Context, io.Writer) error {
	if a.store == nil || a.store.clustered {
		return nil
	}
	return func(ctx context.Context, w io.Writer) error {
		began := time.Now()
		r, err := a.store.engine.Export(ctx, w, nil)
		if err != nil {
			return err
		}
		a.o.Logger.Info("the store was exported", "streams", len(r.Streams), "took", time.Since(began).Round(time.Millisecond).String())
		return nil
	}
}
