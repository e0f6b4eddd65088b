package admin

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPIDocument []byte

// openAPI serves the OpenAPI description. Tests compare it with the routes and
// types.
func openAPI(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	setHeaders(w, "application/json")
	_, _ = w.Write(openAPIDocument) // the client may be gone
	return nil
}
