//go:build !nostore

package embedded

import "testing"

// A stream has what was exported, but for what the engine drops when it restores
// it: what has expired, and what was acknowledged in a work queue by a broker that
// was killed before the engine had removed it.
func TestWhatAnImportMayLack(t *testing.T) {
	was := exportStream{State: []byte(`{"messages":10,"first_seq":1,"last_seq":12}`)}
	for name, tc := range map[string]struct {
		retention string
		now       streamState
		good      bool
	}{
		"all":                     {"limits", streamState{Messages: 10, First: 1, Last: 12}, true},
		"one is missing":          {"limits", streamState{Messages: 9, First: 1, Last: 12}, false},
		"one was acknowledged":    {"workqueue", streamState{Messages: 9, First: 1, Last: 12}, true},
		"the first of them was":   {"workqueue", streamState{Messages: 9, First: 2, Last: 12}, true},
		"a queue with one more":   {"workqueue", streamState{Messages: 11, First: 1, Last: 12}, false},
		"a queue that was behind": {"workqueue", streamState{Messages: 9, First: 1, Last: 11}, false},
	} {
		r := restored{State: tc.now}
		r.Config.Retention = tc.retention
		if err := r.check("S", was); (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
