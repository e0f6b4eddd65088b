package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/admin"
)

func Example() {
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	dir, err := os.MkdirTemp("", "hoofbeat")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	token, created, err := admin.LoadOrCreateToken(filepath.Join(dir, "admin-token"))
	if err != nil {
		panic(err)
	}
	h, err := admin.New(b, admin.Options{Token: token})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(h) // in a program: http.ListenAndServe("127.0.0.1:8081", h)
	defer server.Close()

	req, err := http.NewRequest("POST", server.URL+"/api/v1/messages", strings.NewReader(`{"destination":"/topic/news","body":"hi"}`))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := server.Client().Do(req)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(created, res.Status)
	// Output: true 202 Accepted
}
