package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// maxAnswer limits the answer to CONNECT, in bytes: the server has not yet
// shown that it speaks STOMP.
const maxAnswer = 64 << 10

// connectFrame returns the CONNECT to send, unescaped (STOMP 1.2, "Value
// Encoding": CONNECT and CONNECTED are exempt for compatibility with STOMP
// 1.0).
func connectFrame(o Options) []byte {
	var b bytes.Buffer
	line := func(name, value string) { b.WriteString(name + ":" + value + "\n") }
	b.WriteString("CONNECT\n")
	versions := make([]string, len(o.Versions))
	for i, v := range o.Versions {
		versions[i] = v.String()
	}
	line("accept-version", strings.Join(versions, ","))
	line("host", o.Host)
	line("heart-beat", heartBeatHeader(o))
	if o.Login != "" || o.Passcode != "" {
		line("login", o.Login)
		line("passcode", o.Passcode)
	}
	for _, name := range slices.Sorted(maps.Keys(o.ConnectHeaders)) {
		line(name, o.ConnectHeaders[name])
	}
	b.WriteString("\n\x00")
	return b.Bytes()
}

// readAnswer reads the frame that answers CONNECT and skips heart-beats before
// it. It unescapes the headers of ERROR but not those of CONNECTED.
func readAnswer(r *bufio.Reader) (*frame.Frame, error) {
	left := maxAnswer
	var f *frame.Frame
	for f == nil {
		line, err := readLine(r, &left)
		if err != nil {
			return nil, err
		}
		switch line {
		case "":
		case frame.CONNECTED, frame.ERROR:
			f = frame.New(line)
		default:
			return nil, fmt.Errorf("%w: the answer to CONNECT starts with %.20q", ErrNotStomp, line)
		}
	}
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: a header of %s has no name or no colon", ErrNotStomp, f.Command)
		}
		if f.Command == frame.ERROR {
			name, value = unescape(name), unescape(value)
		}
		f.Header.Add(name, value)
	}
	var err error
	f.Body, err = readBody(r, f.Header, left)
	return f, err
}

func readLine(r *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return "", tooLong()
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

func readBody(r *bufio.Reader, h *frame.Header, left int) ([]byte, error) {
	if value, ok := h.Contains(frame.ContentLength); ok {
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%w: content-length %.20q is not a number", ErrNotStomp, value)
		}
		if n >= uint64(left) {
			return nil, tooLong()
		}
		body := make([]byte, n+1)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, err
		}
		if body[n] != 0 {
			return nil, fmt.Errorf("%w: no NUL after %d bytes of body", ErrNotStomp, n)
		}
		return body[:n], nil
	}
	var body []byte
	for {
		part, err := r.ReadSlice(0)
		if left -= len(part); left < 0 {
			return nil, tooLong()
		}
		body = append(body, part...)
		switch {
		case err == nil:
			return body[:len(body)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func tooLong() error {
	return fmt.Errorf("%w: the answer to CONNECT is over %d bytes", ErrNotStomp, maxAnswer)
}

// unescape resolves the escapes of STOMP 1.2 and keeps undefined ones.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\c`, ":").Replace(s)
}

// checkConnected returns the version that the server chose. Without a version
// header it is 1.0.
func checkConnected(f *frame.Frame, o Options) (stomp.Version, error) {
	version := stomp.V10
	if v, ok := f.Header.Contains(frame.Version); ok {
		version = stomp.Version(strings.TrimSpace(v))
	}
	if !slices.Contains(o.Versions, version) {
		return "", fmt.Errorf("%w: the server chose STOMP version %.20q, which was not offered", ErrNotStomp, version)
	}
	return version, nil
}
