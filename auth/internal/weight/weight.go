// Package weight estimates the memory that claims take. A JSON text of some
// kilobytes can become fifty times as large when it is decoded: each empty
// object or list in it takes two bytes of text and a hundred of memory.
package weight

import "encoding/json"

// MaxClaims is the maximum memory of the claims, roles and scopes of one
// principal, in bytes. The session that the principal belongs to keeps them as
// long as it lives.
const MaxClaims = 256 << 10

const (
	word      = 8
	textHead  = 2 * word // a string without its bytes
	anyHead   = 2 * word // an interface without its value
	listHead  = 3 * word // a slice without its elements
	mapHead   = 6 * word
	slotGroup = 8
	oneTable  = 1024
	slotBytes = textHead + anyHead + 1 // with a control byte
	tableHead = 8 * word
)

// Of returns the bytes that a value of encoding/json takes beside the interface
// that holds it.
func Of(v any) int64 {
	switch v := v.(type) {
	case string:
		return textHead + bytesOf(v)
	case json.Number:
		return textHead + bytesOf(string(v))
	case float64:
		return word
	case []any:
		n := listHead + anyHead*int64(cap(v))
		for _, item := range v {
			n += Of(item)
		}
		return n
	case map[string]any:
		n := mapBytes(len(v))
		for name, value := range v {
			n += bytesOf(name) + Of(value)
		}
		return n
	}
	return 0 // nil, and booleans, which need no memory of their own
}

// Texts returns the bytes that a list takes whose texts have their own memory.
func Texts(list []string) int64 {
	n := Heads(list)
	for _, s := range list {
		n += bytesOf(s)
	}
	return n
}

// Heads returns the bytes that a list takes whose texts are parts of claims that
// are counted already.
func Heads(list []string) int64 { return textHead * int64(cap(list)) }

// bytesOf returns the memory of a text: the allocator rounds up.
func bytesOf(s string) int64 { return int64(len(s)+word-1) &^ (word - 1) }

// mapBytes returns the memory of a map with n names. Its slots are a power of
// two, of which at most seven of eight are in use.
func mapBytes(n int) int64 {
	if n == 0 {
		return mapHead
	}
	slots := slotGroup
	if n > slotGroup {
		for slots*7/8 < n {
			slots *= 2
		}
	}
	if slots > oneTable {
		slots += slots / 4 // the tables of a large map are not equally full
	}
	return mapHead + tableHead + slotBytes*int64(slots)
}
