package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// readObject returns the body of a request, which must be JSON. The request
// must have no parameters.
func readObject(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *problem) {
	if _, p := query(r); p != nil {
		return nil, p
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, problemf(http.StatusUnsupportedMediaType, "the request needs the header Content-Type: application/json")
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, problemf(http.StatusRequestEntityTooLarge, "the request body is larger than %d bytes", limit)
	case err != nil:
		return nil, problemf(http.StatusBadRequest, "the request body could not be read to its end")
	case !utf8.Valid(data):
		// encoding/json would insert replacement characters.
		return nil, problemf(http.StatusBadRequest, "the request body is not valid UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, problemf(http.StatusBadRequest, "the request body is not JSON: at byte %d: %v", syntax.Offset, err)
		}
		return nil, problemf(http.StatusBadRequest, "the request body is not JSON")
	}
	return data, nil
}

// members calls f for each member of a JSON object, in order, until f returns
// an error. data must be valid JSON; what is its name in errors. Unlike
// encoding/json, members matches names exactly and refuses repeated ones.
func members(what string, data []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%s must be a JSON object", what)
	}
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", what, err)
		}
		name, _ := t.(string) // member names are always strings
		if seen[name] {
			return fmt.Errorf("%s has %q twice", what, name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("%s cannot be read: %w", what, err)
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	return nil
}

// text decodes a JSON string. null leaves p nil, like a missing member.
func text(name string, value json.RawMessage, p **string) error {
	if json.Unmarshal(value, p) != nil {
		return fmt.Errorf("%q must be a string", name)
	}
	return nil
}

// seconds decodes a whole number of seconds from 1 to most. null leaves p nil.
func seconds(name string, value json.RawMessage, most int, p **int) error {
	if json.Unmarshal(value, p) != nil || *p != nil && (**p < 1 || **p > most) {
		return fmt.Errorf("%q must be a whole number of seconds from 1 to %d", name, most)
	}
	return nil
}

// nonEmpty is text for a member that must be omitted rather than empty: an
// empty value is a mistake, and must not widen the meaning of the request.
func nonEmpty(name string, value json.RawMessage, p **string) error {
	if err := text(name, value, p); err != nil {
		return err
	}
	if *p != nil && **p == "" {
		return fmt.Errorf("%q is empty", name)
	}
	return nil
}
