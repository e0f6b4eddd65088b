// Package admin is the JSON API for those who run a broker and for backends
// that publish through it, as an [http.Handler]. It belongs on a listener of
// its own, on loopback or behind TLS.
//
//	token, _, err := admin.LoadOrCreateToken("/var/lib/hoofbeat/admin-token")
//	if err != nil {
//		return err
//	}
//	h, err := admin.New(b, admin.Options{Token: token})
//	if err != nil {
//		return err
//	}
//	return http.ListenAndServe("127.0.0.1:8081", h)
//
// With curl, and A='Authorization: Bearer '$(cat /var/lib/hoofbeat/admin-token):
//
//	curl -H "$A" --json '{"destination":"/topic/news","body":"hi"}' localhost:8081/api/v1/messages
//	curl -H "$A" --json '{"destination":"/queue/news","body":"hi"}' localhost:8081/api/v1/users/ann/messages
//	curl -H "$A" localhost:8081/api/v1/stats
//	curl -H "$A" 'localhost:8081/api/v1/sessions?user=ann&sort=pending&limit=10'
//	curl -H "$A" localhost:8081/api/v1/users
//	curl -H "$A" 'localhost:8081/api/v1/destinations?prefix=/queue/'
//	curl -H "$A" -X DELETE 'localhost:8081/api/v1/sessions/ID?reason=maintenance'
//	curl -H "$A" localhost:8081/api/v1/openapi.json
//	curl 'localhost:8081/readyz?verbose'
//
// # Conventions
//
// Every path but /livez and /readyz wants the bearer token. Field names are
// snake_case, times are RFC 3339, sizes are octets. Requests are read strictly:
// a field or parameter that is not known, or is given twice, is refused by its
// name. Errors are RFC 9457 problems, application/problem+json, with type,
// title, status and detail. The description for machines is OpenAPI 3.1, at
// /api/v1/openapi.json.
//
// A message is {"destination", "headers": {…}, "body" or "body_base64",
// "content_type"}. Nothing but the destination is required, headers keep their
// order, and one that belongs to the protocol (see [broker.Reserved]) is
// refused, not dropped. Lists are pages, {"total", "offset", "limit", "items"}:
// total counts all that match, the items are at most limit of them from offset
// on. In the path of a user the name is percent-escaped, "/" as %2F.
package admin
