// Package admin is the JSON API for operators of a broker, and for backends
// that publish messages, issue tickets to their users or report results to
// waiting pages. It is an [http.Handler]. Serve it on a separate listener, on
// loopback or behind TLS.
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
// With curl, and A='Authorization: Bearer '$(cat
// /var/lib/hoofbeat/admin-token):
//
//	curl -H "$A" --json '{"destination":"/topic/news","body":"hi"}' localhost:8081/api/v1/messages
//	curl -H "$A" --json '{"destination":"/queue/news","body":"hi"}' localhost:8081/api/v1/users/ann/messages
//	curl -H "$A" --json '{"destination":"/queue/jobs","body":"hi","headers":{"delay":"60000"}}' localhost:8081/api/v1/messages
//	curl -H "$A" 'localhost:8081/api/v1/delayed?destination=/queue/jobs'
//	curl -H "$A" -X DELETE localhost:8081/api/v1/delayed/MESSAGE_ID
//	curl -H "$A" --json '{"user":"ann","roles":["staff"],"ttl":30}' localhost:8081/api/v1/tickets
//	curl -H "$A" --json '{"user":"ann"}' localhost:8081/api/v1/revocations
//	curl -H "$A" -X PUT --json '{"owner":{"user":"ann"},"ttl":120}' localhost:8081/api/v1/operations/ID
//	curl -H "$A" --json '{"result":"CONFIRMED"}' localhost:8081/api/v1/operations/ID/result
//	curl -H "$A" 'localhost:8081/api/v1/operations?user=ann&registered=true'
//	curl -H "$A" localhost:8081/api/v1/stats
//	curl -H "$A" localhost:8081/api/v1/handlers
//	curl -H "$A" localhost:8081/api/v1/events
//	curl -H "$A" localhost:8081/api/v1/cluster
//	curl -H "$A" 'localhost:8081/api/v1/sessions?user=ann&sort=pending&limit=10'
//	curl -H "$A" localhost:8081/api/v1/sessions/ID
//	curl -H "$A" localhost:8081/api/v1/users
//	curl -H "$A" localhost:8081/api/v1/users/ann/sessions
//	curl -H "$A" 'localhost:8081/api/v1/destinations?prefix=/queue/'
//	curl -H "$A" -X DELETE 'localhost:8081/api/v1/sessions/ID?reason=maintenance'
//	curl -H "$A" 'localhost:8081/api/v1/queues?prefix=/queue/&sort=messages'
//	curl -H "$A" localhost:8081/api/v1/queues/%2Fqueue%2Fjobs
//	curl -H "$A" 'localhost:8081/api/v1/queues/%2Fqueue%2Fjobs/messages?after=0&limit=10'
//	curl -H "$A" --json '{}' localhost:8081/api/v1/queues/%2Fqueue%2FDLQ.jobs/moves
//	curl -H "$A" --json '{"to":"/queue/repair","count":10}' localhost:8081/api/v1/queues/%2Fqueue%2Fjobs/moves
//	curl -H "$A" -X DELETE localhost:8081/api/v1/queues/%2Fqueue%2Fjobs/messages/SEQUENCE
//	curl -H "$A" -X DELETE 'localhost:8081/api/v1/queues/%2Fqueue%2Fjobs/messages?confirm=true'
//	curl -H "$A" 'localhost:8081/api/v1/history?prefix=/topic/prices/&sort=bytes'
//	curl -H "$A" localhost:8081/api/v1/history/%2Ftopic%2Fprices%2Feu
//	curl -H "$A" -X DELETE 'localhost:8081/api/v1/history/%2Ftopic%2Fprices%2Feu?confirm=true'
//	curl -H "$A" localhost:8081/api/v1/openapi.json
//	curl 'localhost:8081/readyz?verbose'
//
// # Conventions
//
// Every path except /livez and /readyz requires the bearer token. Field names
// are snake_case and sizes are in bytes. Times are RFC 3339, except the expiry
// of tickets and operations, which is in seconds since 1970. Parsing is strict:
// an unknown or repeated field or parameter is an error that names it. Errors
// are RFC 9457 problems, application/problem+json, with type, title, status and
// detail. The machine-readable description is OpenAPI 3.1, at
// /api/v1/openapi.json.
//
// A message is {"destination", "headers": {…}, "body" or "body_base64",
// "content_type"}. Only the destination is required. Headers keep their order;
// a header that belongs to the protocol (see [broker.Reserved]) is an error,
// not dropped. Lists are pages, {"total", "offset", "limit", "items"}: total
// counts all matches, and items holds at most limit of them, starting at
// offset. In a path, percent-escape user names, operation ids and the names of
// queues and topics, with "/" as %2F.
//
// # Queues
//
// A queue is there while it has messages or consumers. GET lists queues, and
// shows their messages without removing them: pages of messages are
// {"after","limit","next","items"}, in the order of their sequences, and "next"
// is the after of the next page. At most `body` bytes of each body are shown, by
// default 1,024.
//
// DELETE removes one message, or with confirm=true all that wait. A POST to moves
// moves the oldest messages, at most 1,000: {"to"} is another queue, and without
// it dead letters return to the queue that they came from. Optional are "count",
// "ids", "sequences" and "after". The answer, {"moved","skipped","next"}, says
// how many were moved and how many have no queue to return to; if there are more,
// "next" is the "after" of the next request. If the other queue takes no more,
// the answer is 429, with "moved". Messages that consumers hold are neither
// removed nor moved. See [broker.Broker.MoveMessages].
//
// # History
//
// GET lists the topics of which a history has messages. DELETE with confirm=true
// removes what is kept of one topic. Its entry gets a new epoch, so clients that
// come back with an older offset, to any destination of the entry, are told that
// messages may be missing. See [broker.Broker.RemoveHistory].
//
// # Tickets and revocations
//
// A ticket request is {"user"}, with optional "roles", "ttl" in seconds, the
// "operation" that the ticket is bound to, and the "origin" whose pages alone
// may use it; see [ticket.Grant]. The answer, {"ticket","expires"}, is the only
// place where the ticket appears. The ttl limits the ticket, not the session
// that it opens.
//
// A revocation is one of {"user"}, {"session"} and {"credential"}; see
// [auth.Revocation]. When the answer arrives, unused tickets and older
// credentials are invalid, and each session is being closed with "session
// revoked" and code 1008. For a user or a session the answer is the number of
// connected sessions, {"sessions"}. Repeating a revocation is not an error.
//
// # Operations
//
// PUT announces an operation. Its body must be an object, in which all fields
// are optional: the "websocket_id" (default: derived from the id), the "ttl" in
// seconds, and the "owner", which is {"user"} or {"anyone":true} (default: the
// holders of a ticket for the operation); see [webflow.Operation]. Announcing
// it again unchanged is not an error and extends it; a different owner or
// websocket_id is a conflict.
//
// POST reports its result as {"result"}. The answer, {"delivered"}, says
// whether the page has received it; if not, it is held until the page comes or
// the operation ends. The same result may be posted again, but no different one
// after a terminal one; see [webflow.Flow.Notify].
//
// # Optional parts
//
// Revocations, tickets and operations require Revocations, Tickets and Flow of
// [Options]. Without it the path answers 404, with a detail that names the
// option.
package admin
