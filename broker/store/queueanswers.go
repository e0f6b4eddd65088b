package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Codes of errors of the engine.
const (
	codeNoMessage     = 10037
	codeNoSequence    = 10043
	codeDelete        = 10057 // with the reason as its text
	codeWrongLast     = 10071 // a replacement that is there already
	codeMaximum       = 10077 // a limit of the stream
	codeDuplicate     = 10201 // in a batch
	textMaximumPerSub = "maximum messages per subject exceeded"
	textNoMessage     = "no message found"
)

// refusal is an answer of the engine that says no: nothing was done.
type refusal struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *refusal) Error() string { return "the engine of the store refuses: " + e.Description }

func isRefusal(err error, code int) bool {
	var r *refusal
	return errors.As(err, &r) && r.ErrCode == code
}

// isGone reports whether a message was not deleted because it does not exist.
func isGone(err error) bool {
	var r *refusal
	return errors.As(err, &r) && (r.ErrCode == codeNoMessage || r.ErrCode == codeNoSequence ||
		r.ErrCode == codeDelete && r.Description == textNoMessage)
}

var (
	keySequence = []byte(`"seq":`)
	keyError    = []byte(`"error":`)
	keyRepeated = []byte(`"duplicate":`)
)

// putAnswer reads the answer to a publication: the sequence of the message, or
// of the last one of a batch. The error is a *refusal or [broker.ErrDuplicate]
// if the message was not stored.
func putAnswer(m *nats.Msg) (uint64, error) {
	data := m.Data
	if bytes.Contains(data, keyError) || bytes.Contains(data, keyRepeated) {
		return slowPutAnswer(data)
	}
	_, after, ok := bytes.Cut(data, keySequence)
	end := bytes.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if !ok || end <= 0 {
		return slowPutAnswer(data)
	}
	return strconv.ParseUint(string(after[:end]), 10, 64)
}

func slowPutAnswer(data []byte) (uint64, error) {
	var a struct {
		Sequence  uint64   `json:"seq"`
		Duplicate bool     `json:"duplicate"`
		Error     *refusal `json:"error"`
	}
	switch err := json.Unmarshal(data, &a); {
	case err != nil:
		return 0, fmt.Errorf("%w: %q", errAnswer, data)
	case a.Error != nil:
		return 0, a.Error
	case a.Duplicate:
		return 0, broker.ErrDuplicate
	case a.Sequence == 0:
		return 0, fmt.Errorf("%w: %q", errAnswer, data)
	}
	return a.Sequence, nil
}

var errAnswer = errors.New("the store has answered something unknown")

// apiAnswer reads the answer to a request to the API of the engine.
func apiAnswer(m *nats.Msg, into any) error {
	var a struct {
		Error *refusal `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return fmt.Errorf("%w: %q", errAnswer, m.Data)
	}
	if a.Error != nil {
		return a.Error
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(m.Data, into)
}
