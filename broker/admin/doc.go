// Package admin is the JSON API for those who run a broker and for backends
// that publish through it, let their users in by tickets or tell waiting pages of
// a result, as an [http.Handler]. It belongs on a listener of its own, on loopback
// or behind TLS.
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
//	curl -H "$A" --json '{"user":"ann","roles":["staff"],"ttl":30}' localhost:8081/api/v1/tickets
//	curl -H "$A" --json '{"user":"ann"}' localhost:8081/api/v1/revocations
//	curl -H "$A" -X PUT --json '{"owner":{"user":"ann"},"ttl":120}' localhost:8081/api/v1/operations/ID
//	curl -H "$A" --json '{"result":"CONFIRMED"}' localhost:8081/api/v1/operations/ID/result
//	curl -H "$A" 'localhost:8081/api/v1/operations?user=ann&registered=true'
//	curl -H "$A" localhost:8081/api/v1/stats
//	curl -H "$A" 'localhost:8081/api/v1/sessions?user=ann&sort=pending&limit=10'
//	curl -H "$A" localhost:8081/api/v1/sessions/ID
//	curl -H "$A" localhost:8081/api/v1/users
//	curl -H "$A" localhost:8081/api/v1/users/ann/sessions
//	curl -H "$A" 'localhost:8081/api/v1/destinations?prefix=/queue/'
//	curl -H "$A" -X DELETE 'localhost:8081/api/v1/sessions/ID?reason=maintenance'
//	curl -H "$A" localhost:8081/api/v1/openapi.json
//	curl 'localhost:8081/readyz?verbose'
//
// # Conventions
//
// Every path but /livez and /readyz wants the bearer token. Field names are
// snake_case, times are RFC 3339 but for the end of a ticket, which is in
// seconds since 1970 as clients get it from /ws_ticket, sizes are bytes.
// Requests are read strictly: a field or parameter that is not known, or is
// given twice, is refused by its name. Errors are RFC 9457 problems,
// application/problem+json, with type, title, status and detail. The description
// for machines is OpenAPI 3.1, at /api/v1/openapi.json.
//
// A message is {"destination", "headers": {…}, "body" or "body_base64",
// "content_type"}. Nothing but the destination is required, headers keep their
// order, and one that belongs to the protocol (see [broker.Reserved]) is
// refused, not dropped. Lists are pages, {"total", "offset", "limit", "items"}:
// total counts all that match, the items are at most limit of them from offset
// on. In a path the name of a user and the id of an operation are percent-escaped,
// "/" as %2F.
//
// # Tickets and revocations
//
// A ticket is made of {"user"} and, if wanted, "roles", "ttl" in seconds, the
// "operation" it is bound to and the "origin" whose pages alone may use it; see
// [auth.Grant]. The answer, {"ticket","expires"}, is the only place where the
// ticket is ever written. The session that it opens ends when somebody ends it:
// the ticket's ttl is not the session's.
//
// A revocation is one of {"user"}, {"session"} and {"credential"}; see
// [auth.Revocation]. When it is answered, unused tickets and older credentials
// are dead and each session is being told "session revoked" and closed with 1008.
// Of a user and of a session the answer says how many that were connected,
// {"sessions"}. To revoke again is no error.
//
// # Operations
//
// An operation is announced with PUT. All of its body may be left out, but for
// the {}: the "websocket_id", derived from the id then, the "ttl" in seconds, and
// the "owner", which is {"user"}, {"anyone":true}, or whoever has a ticket for the
// operation; see [webflow.Operation]. To announce it again as it was is no error
// and puts its end off; another owner or websocket_id is a conflict.
//
// Its result is posted to it as {"result"}. The answer, {"delivered"}, says
// whether the page has been handed it; if not, it is held until the page comes or
// the operation ends. The same result may be posted again, but no other after one
// that is terminal; see [webflow.Flow.Notify].
//
// # What the program has to give
//
// Tickets, revocations and operations need Tickets, Store and Flow of [Options].
// Without it the path is there and answers 404, with a detail that names the option.
package admin
