// Package webflow tells a page that waits for something a person does elsewhere:
// a login that is approved on a phone, a payment, a signature. It adds the
// destinations of the Web Flow protocol to a [broker.Broker], and what that
// protocol lacks: only the owner of an operation can wait for its result, and no
// result is lost.
//
//	flow, err := webflow.New(b, webflow.Options{})
//	if err != nil {
//		return err
//	}
//	defer flow.Close()
//	// The login begins: whoever holds a ticket for this operation may wait for it.
//	webSocketID, err := flow.Open(ctx, webflow.Operation{ID: operationID})
//	// The page gets webSocketID and a ticket; the phone says yes:
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
// The order of these does not matter: a result that comes before the page has
// registered, or before it has subscribed, and a reply that comes before it has
// subscribed, are held. A SEND to /user/topic/registration does the same.
//
// The notification carries no authority. It says that it is worth asking: the
// page then makes the request that really decides, and which only now succeeds.
//
// # Who may wait
//
// An operation is announced with [Flow.Open] and belongs to a user, to the
// sessions whose ticket was minted for it (the default, for pages on which
// nobody is logged in yet), or to whoever comes first ([Owner]). Everybody else
// is told what he would be told of an operation that does not exist. A session
// whose ticket is bound to an operation registers no other, and a back end's
// anonymous session registers none.
//
// The owner may come again from another session, after a reload or a lost
// connection. The newest session waits; the one before is told that it was
// superseded. When a session is lost the program hears at once ([Options.Lost])
// and again when the owner has not come back in time ([Options.Abandoned]); what
// it makes of that is its own affair, the operation lives until its TTL ends.
//
// # At least once
//
// A page that subscribes with `ack:client` or `ack:client-individual` and loses
// its connection before its ACK gets the result again when it registers again,
// with the same message-id and, once it was handed out before, redelivered:true.
// With `ack:auto` the result is offered once for each registration. At most one
// result of an operation is terminal; of interim ones, such as AUTH_FAILED, the
// latest is what is held. When a WebSocket is not to be had, [Flow.Handler]
// answers polls under the same rules.
//
// # Cost
//
// An operation with a registered session takes 520 bytes beside the session, and no
// goroutine: all wait on one timer. With 100,000 pages waiting, a page has its
// notification some 12 µs after Notify was called (median, in memory). One lock guards
// everything; it is never held while the broker or the program is called. (Two
// cores, amd64, 2026-11.)
package webflow
