// Package client connects to a STOMP server over WebSocket, TCP or TLS and
// returns a go-stomp connection. It works with any server for STOMP 1.0, 1.1 or
// 1.2: Hoofbeat, Spring, RabbitMQ, ActiveMQ, Artemis.
//
//	conn, err := client.Dial(ctx, "ws://127.0.0.1:8080/ws", client.Options{Login: "ann"})
//	if err != nil {
//		return err // *RefusedError, *HTTPError and *CloseError say why
//	}
//	defer conn.Disconnect()
//	sub, err := conn.Subscribe("/topic/greetings", stomp.AckAuto)
//	if err != nil {
//		return err
//	}
//	for m := range sub.C { … }
//
// # What it adds to go-stomp
//
// go-stomp v3.1.5 runs over any io.ReadWriteCloser. This package supplies one,
// and corrects some of go-stomp's behaviour:
//
//   - One STOMP frame is one WebSocket message, whatever its size; go-stomp
//     itself writes a large frame in several pieces. The message is text, or
//     binary if the frame is not UTF-8, which a text message cannot carry.
//   - CONNECT and CONNECTED are not escaped (STOMP 1.2, "Value Encoding"), so a
//     passcode with a colon or a backslash arrives unchanged. go-stomp escapes
//     it.
//   - This package negotiates heart-beats according to "Heart-beating" and
//     keeps them. go-stomp expects heart-beats from a server that said it sends
//     none, counts only whole frames as signs of life, not bytes, and neither
//     sends nor checks heart-beats while a consumer is slow.
//   - [Conn.Err] returns why a connection ended, including the ERROR and the
//     WebSocket close code. go-stomp passes an ERROR only to calls and
//     subscriptions that are waiting at that moment, and its Disconnect may
//     return nil after one.
//   - [Conn.SubscribeWithReceipt] says when the server has made a subscription.
//   - [Conn.UnsubscribeWithReceipt] says when the server has ended one. A
//     subscription's own Unsubscribe begins to wait for the RECEIPT after it has
//     sent the frame, and waits for thirty seconds and fails if the server was
//     faster.
//   - The context passed to [Dial] limits the whole handshake.
//
// # Remaining limitations of go-stomp
//
// go-stomp escapes header values by the rules of STOMP 1.2 in every version, so
// colons, backslashes and line ends in headers do not survive a STOMP 1.0
// session. It allocates the memory for a body from its content-length before
// reading it: set [Options.ReadLimit] and connect only to servers that you
// trust. A subscription that nobody reads blocks the whole connection once
// about forty messages wait: read every subscription until its channel is
// closed, also while Disconnect runs. Do not set a `receipt` header on
// Subscribe: go-stomp takes the RECEIPT for the end of the subscription; use
// [Conn.SubscribeWithReceipt]. A Send
// with a receipt that starts just when the connection ends returns only after
// its time limit, which is thirty seconds unless [Options.Stomp] includes
// stomp.ConnOpt.RcvReceiptTimeout; watch [Conn.Done] if that is too long. A
// receipt that does not arrive within that limit leaves a goroutine of go-stomp
// behind: open a new connection after that.
package client
