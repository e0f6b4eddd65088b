package encode

import (
	"strconv"

	"github.com/hoofbeat/hoofbeat/frames"
)

// Offset is the place of a message in the history of its topic. A message
// without a history has the zero value.
type Offset struct {
	Epoch  string // letters and digits
	Number uint64
}

// Names of the headers that show an Offset.
const (
	HeaderOffset       = "offset"
	HeaderStreamOffset = "x-stream-offset" // RabbitMQ's name for it
)

// offsetSize bounds the bytes that Offset.append adds, with an epoch of 8.
const offsetSize = 96

// append appends the two headers.
func (o *Offset) append(b []byte, v frames.Version) []byte {
	b = append(b, HeaderOffset+":"...)
	b = append(b, o.Epoch...)
	if v < frames.V11 {
		b = append(b, ':')
	} else {
		b = append(b, `\c`...)
	}
	b = strconv.AppendUint(b, o.Number, 10)
	b = append(b, "\n"+HeaderStreamOffset+":"...)
	b = strconv.AppendUint(b, o.Number, 10)
	return append(b, '\n')
}
