// Package webflow notifies a web page when an operation completes elsewhere: a
// login approved on a phone, a payment, a signature. It adds the destinations
// of the Web Flow protocol to a [broker.Broker] and adds two guarantees that
// the protocol lacks: only the owner of an operation can wait for its result,
// and no result is lost.
//
//	flow, err := webflow.New(b, webflow.Options{})
//	if err != nil {
//		return err
//	}
//	defer flow.Close()
//	// The login begins. Any session with a ticket for this operation may wait.
//	webSocketID, err := flow.Open(ctx, webflow.Operation{ID: operationID})
//	// Give webSocketID and a ticket to the page. When the phone approves:
//	_, err = flow.Notify(ctx, operationID, "CONFIRMED")
//
// # What the page sees
//
//	SUBSCRIBE /user/topic/registration
//	SEND      /app/registration           {"webSocketId":"e30f…"}
//	MESSAGE   /user/topic/registration    {"webSocketId":"e30f…","registrationSucceeded":true}
//	SUBSCRIBE /user/topic/authorization
//	                                      … a person approves …
//	MESSAGE   /user/topic/authorization   {"webSocketId":"e30f…","authResult":"CONFIRMED"}
//
// These steps may come in any order. The Flow holds a result until the page has
// registered and subscribed, and holds a reply until the page has subscribed. A
// SEND to /user/topic/registration has the same effect as one to
// /app/registration.
//
// The notification grants nothing. It tells the page that it is worth asking:
// the page then makes the request that actually decides and that only now
// succeeds.
//
// # Who may wait
//
// [Flow.Open] announces an operation and sets its [Owner]: a user, the sessions
// whose ticket was minted for the operation (the default, for pages where no
// user is logged in yet), or the first session that registers. Non-owners get
// the same answer whether or not the operation exists. A session whose ticket
// is bound to an operation can register no other one. An anonymous backend
// session can register none.
//
// The owner may register again from another session, after a reload or a lost
// connection. The newest session waits; the previous one gets the reason
// "superseded". When a session ends, the Flow calls [Options.Lost] at once and
// [Options.Abandoned] if the owner does not return in time. The program decides
// what that means; the operation lives until its TTL ends.
//
// # At least once
//
// If a page subscribes with `ack:client` or `ack:client-individual` and loses
// its connection before its ACK, it gets the result again when it next
// registers: with the same message-id and, if the result was handed out before,
// with redelivered:true. With `ack:auto` the result is offered once per
// registration. An operation has at most one terminal result. Of its interim
// results, such as AUTH_FAILED, the Flow holds only the latest. Pages that
// cannot open a WebSocket can poll [Flow.Handler] under the same rules.
//
// # Several brokers
//
// The records of all operations are in [Options.Store], by default in memory.
// Flows of several brokers that share a Store work as one: the page may be
// connected to any of them, and the program may call any of them. Each step of
// an operation is one compare-and-set, so of two different terminal results one
// is refused, whatever the brokers. If the Store fails or does not answer, the
// page gets the reason "unavailable" and the program [ErrUnavailable].
//
// # Cost
//
// An operation with a registered session takes 560 bytes in addition to the
// session, and no goroutine: all operations share one timer. With 100,000 pages
// waiting, a page has its notification about 12 µs after the call of Notify
// (median, in memory). One lock guards everything; it is never held during
// calls to the broker, the Store or the program. (Two cores, amd64, 2026-11.)
package webflow
