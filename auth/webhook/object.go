package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// maxDepth is the maximum nesting of objects and lists.
const maxDepth = 32

// Errors of parseObject.
var (
	errJSON      = errors.New("the answer is not a JSON object")
	errDuplicate = errors.New("the answer has a duplicate member")
	errDepth     = errors.New("the answer is nested too deeply")
)

// parseObject parses body as a JSON object. Unlike json.Unmarshal it compares
// names exactly and rejects an object with a duplicate member: one reader must
// not see {"allow":false} where another sees {"allow":true}.
func parseObject(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errJSON
	}
	value, err := parseValue(json.NewDecoder(bytes.NewReader(body)), 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errJSON
	}
	return object, nil
}

// parseValue reads a value as json.Unmarshal would into an any.
func parseValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errJSON // a number too large for float64; the syntax has been checked
	}
	open, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, errDepth
	}
	if open == '{' {
		return parseMembers(d, depth+1)
	}
	return parseItems(d, depth+1)
}

func parseMembers(d *json.Decoder, depth int) (map[string]any, error) {
	object := make(map[string]any)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errJSON
		}
		key, ok := name.(string)
		if !ok {
			return nil, errJSON
		}
		if _, twice := object[key]; twice {
			return nil, errDuplicate
		}
		if object[key], err = parseValue(d, depth); err != nil {
			return nil, err
		}
	}
	return object, closing(d)
}

func parseItems(d *json.Decoder, depth int) ([]any, error) {
	list := []any{}
	for d.More() {
		item, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, closing(d)
}

// closing reads the end of an object or a list.
func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return errJSON
	}
	return nil
}
