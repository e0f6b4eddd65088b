package pattern

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPropertyEqualEscaped(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("a/%25Ffé")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		value, segment := text.Draw(t, "value"), text.Draw(t, "segment")
		if !EqualEscaped(Escape(value), value) {
			t.Fatal("a value is not itself")
		}
		if EqualEscaped(segment, value) != (segment == Escape(value)) {
			t.Fatal("differs from the escaper")
		}
	})
}
