package idp

import "net/http"

// discovery serves the document of OpenID Connect Discovery 1.0 and RFC 8414.
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return s.o.Issuer + path }
	both := []string{"client_secret_basic", "client_secret_post"}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         s.o.Issuer,
		"authorization_endpoint":                         at("/authorize"),
		"token_endpoint":                                 at("/token"),
		"revocation_endpoint":                            at("/revoke"),
		"introspection_endpoint":                         at("/introspect"),
		"jwks_uri":                                       at("/jwks"),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"token_endpoint_auth_methods_supported":          both,
		"revocation_endpoint_auth_methods_supported":     both,
		"introspection_endpoint_auth_methods_supported":  both,
		"authorization_response_iss_parameter_supported": true,
		"request_uri_parameter_supported":                false, // true if absent
	})
}
