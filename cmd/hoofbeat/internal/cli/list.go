package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"
)

// list prints what a list of the admin API has, of whatever length: as a table, or
// each item as it came, a JSON object a line.
type list[T any] struct {
	path   string
	header string // of the columns, with tabs between them
	row    func(w io.Writer, item *T) error
	none   error // is returned instead of an empty table, if it is set
}

// print asks for all pages. Parameters without a value are not sent.
func (l list[T]) print(ctx context.Context, a *adminCall, parameters map[string]string, asJSON bool) error {
	q := url.Values{"limit": {"1000"}}
	for name, value := range parameters {
		if value != "" {
			q.Set(name, value)
		}
	}
	out := a.program.Out
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, l.header)
	}
	for seen := 0; ; {
		var page struct {
			Total int
			Items []json.RawMessage
		}
		q.Set("offset", strconv.Itoa(seen))
		if err := a.call(ctx, http.MethodGet, l.path, q, nil, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := l.printItem(out, w, item, asJSON); err != nil {
				return err
			}
		}
		if seen += len(page.Items); seen < page.Total && len(page.Items) > 0 {
			continue
		}
		if seen == 0 && l.none != nil {
			return l.none
		}
		return w.Flush()
	}
}

func (l list[T]) printItem(out, table io.Writer, item json.RawMessage, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(out, "%s\n", item)
		return err
	}
	one := new(T)
	if err := json.Unmarshal(item, one); err != nil {
		return err
	}
	return l.row(table, one)
}

// seconds returns an age for a table.
func seconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second)).Round(time.Second)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return oneLine(s)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
