package expiring

import (
	"strconv"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	var s Set
	now := time.Unix(1, 0)
	if !s.Until("a").IsZero() || s.Len() != 0 {
		t.Error("the zero value keeps something")
	}
	for i := range 1000 { // each ends before the next comes
		now = now.Add(time.Second)
		s.Keep(strconv.Itoa(i), now.Add(time.Second/2), now)
	}
	if s.Len() > 2*minimum {
		t.Errorf("%d names are kept, of which one still holds", s.Len())
	}
	if want := now.Add(time.Second / 2); !s.Until("999").Equal(want) {
		t.Errorf("the last ends at %v, want %v", s.Until("999"), want)
	}
}

// Beyond the bound, the tenth of the names that ends first is removed.
func TestBound(t *testing.T) {
	var s Set
	now := time.Unix(1, 0)
	for i := range 100 {
		s.Keep(strconv.Itoa(i), now.Add(time.Hour+time.Duration(i)*time.Second), now)
	}
	s.Bound(100)
	if s.Len() != 100 {
		t.Errorf("%d names within the bound", s.Len())
	}
	s.Bound(99)
	if s.Len() != 90 || !s.Until("9").IsZero() || s.Until("10").IsZero() {
		t.Errorf("%d names, 9 until %v, 10 until %v", s.Len(), s.Until("9"), s.Until("10"))
	}
	var same Set
	for i := range 100 {
		same.Keep(strconv.Itoa(i), now.Add(time.Hour), now)
	}
	if same.Bound(50); same.Len() != 90 {
		t.Errorf("%d names that end at once", same.Len())
	}
}
