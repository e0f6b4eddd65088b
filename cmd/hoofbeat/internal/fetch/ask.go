package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ask makes one request. Its errors contain nothing from the answer or the URL.
func (f *Fetcher) ask(ctx context.Context, s Source, user string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return Answer{}, errors.New("the URL is malformed")
	}
	r.Header.Set("Accept", "application/json")
	client := f.o.Grants.HTTPClient(user, s.Provider)
	// A redirect would fetch the user's data from a server that is not
	// configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		if about := new(url.Error); errors.As(err, &about) {
			err = about.Err // without the URL, which may contain a key
		}
		return Answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("the answer is HTTP %d, want 200", resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || len(kind) > maxType || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return Answer{}, errNotJSON // HTML from other sites must not become a page of this site
	}
	body, err := f.read(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Type: strings.Clone(kind), Body: body, Fetched: time.Now(), Provider: s.Provider}, nil
}

// maxType is the maximum length of a content type, which is kept with the answer.
const maxType = 128

var errNotJSON = errors.New("the answer is not JSON with a content type that says so")

func (f *Fetcher) read(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, f.o.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > f.o.MaxBody {
		return nil, fmt.Errorf("the answer is longer than limits.fetched_answer of %d bytes", f.o.MaxBody)
	}
	if !json.Valid(text) {
		return nil, errNotJSON
	}
	return bytes.Clone(text), nil // without the spare capacity of the read buffer
}
