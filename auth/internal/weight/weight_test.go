package weight_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// The estimate is what the heap holds, give or take the rounding of the
// allocator, whatever the shape of the claims.
func TestOfIsWhatTheHeapHolds(t *testing.T) {
	const n = 10
	members := func(count int, value string) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, `,"name%d":%s`, i, value)
		}
		return "{" + b.String()[1:] + "}"
	}
	list := func(count int, value string) string {
		return "[" + strings.Repeat(value+",", count-1) + value + "]"
	}
	for name, text := range map[string]string{
		"numbers":         list(5000, "1"),
		"short texts":     list(5000, `"a"`),
		"groups":          list(1000, `"a-group-of-the-company"`),
		"one text":        `"` + strings.Repeat("a", 60_000) + `"`,
		"empty lists":     list(5000, "[]"),
		"empty objects":   list(5000, "{}"),
		"small objects":   list(5000, `{"a":{}}`),
		"objects":         list(1000, members(9, `"x"`)),
		"a large object":  members(3000, `true`),
		"a larger object": members(8000, `null`),
		"deep":            strings.Repeat(`{"a":[`, 2000) + strings.Repeat("]}", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			values := make([]any, n)
			before := testkit.Heap()
			for i := range values {
				if err := json.Unmarshal([]byte(text), &values[i]); err != nil {
					t.Fatal(err)
				}
			}
			held := (testkit.Heap() - before) / n
			got := weight.Of(values[0])
			t.Logf("%d bytes of text hold %d, the estimate is %d", len(text), held, got)
			if got < held*3/4 || got > held*3/2 {
				t.Errorf("%d bytes are held, the estimate is %d", held, got)
			}
			runtime.KeepAlive(values)
		})
	}
}

func TestTexts(t *testing.T) {
	if got := weight.Texts([]string{"a", "123456789"}); got != 2*16+8+16 {
		t.Errorf("got %d", got)
	}
	if got := weight.Of(json.Number("1")); got != 24 {
		t.Errorf("got %d", got)
	}
	if got := weight.Of(nil) + weight.Of(true); got != 0 {
		t.Errorf("got %d", got)
	}
}
