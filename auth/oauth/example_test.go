package oauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
)

// Mounting a Client: the pages of the flow, a page of one's own that knows who
// is signed in, and a call to the provider's API with the user's token.
func Example() {
	provider := httptest.NewServer(http.HandlerFunc(tinyProvider))
	defer provider.Close()

	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	defer app.Close()

	client, err := oauth.New(oauth.Options{
		Providers: []oauth.Provider{{
			Name:    "tiny",
			AuthURL: provider.URL + "/authorize", TokenURL: provider.URL + "/token", RevocationURL: provider.URL + "/revoke",
			UserInfoURL: provider.URL + "/me", UserClaim: "username",
			ClientID: "app", ClientSecret: "secret", Scopes: []string{"read"},
			RedirectURL: app.URL + "/oauth/callback",
		}},
		AfterLogin: "/hello",
		OnLogout:   func(_, user string) error { fmt.Println("close the sockets of", user); return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	mux.Handle("/oauth/", client.Handler())
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		if p, ok := client.Session(r); ok {
			fmt.Fprintf(w, "hello %s", p.Name)
		}
	})

	jar, err := cookiejar.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	browser := &http.Client{Jar: jar}
	show(browser.Get(app.URL + "/oauth/login")) // to the provider, back, and on to /hello
	show(client.HTTPClient("alice", "tiny").Get(provider.URL + "/data"))
	show(browser.PostForm(app.URL+"/oauth/logout", nil))

	// Output:
	// hello alice
	// data for Bearer abcdef
	// close the sockets of alice
	// 404 page not found
}

func show(resp *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", body)
}

// tinyProvider lets everybody in as alice.
func tinyProvider(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/authorize":
		q := r.URL.Query()
		http.Redirect(w, r, q.Get("redirect_uri")+"?code=XYZ789&state="+q.Get("state"), http.StatusFound)
	case "/token":
		reply := map[string]any{"access_token": "abcdef", "token_type": "bearer", "refresh_token": "0123456789", "expires_in": 86400, "scope": "read"}
		if err := json.NewEncoder(w).Encode(reply); err != nil {
			fmt.Println(err)
		}
	case "/me":
		fmt.Fprint(w, `{"username":"alice"}`)
	case "/data":
		fmt.Fprint(w, "data for ", r.Header.Get("Authorization"))
	}
}
