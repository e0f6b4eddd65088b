// Package client dials a STOMP server over WebSocket, TCP or TLS and returns a
// go-stomp connection. It works with any server that speaks STOMP 1.0, 1.1 or
// 1.2: Hoofbeat, Spring, RabbitMQ, ActiveMQ, Artemis.
//
//	conn, err := client.Dial(ctx, "ws://127.0.0.1:8080/ws", client.Options{Login: "ann"})
//	if err != nil {
//		return err // *RefusedError, *HTTPError and *CloseError tell why
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
// go-stomp v3.1.5 runs over any io.ReadWriteCloser. This package supplies that
// and makes good what go-stomp gets wrong at the edges:
//
//   - One STOMP frame is one WebSocket message, whatever its size: go-stomp
//     itself writes a large frame in pieces. Text, or binary when the frame is
//     not UTF-8, because a text message may carry nothing else.
//   - CONNECT and CONNECTED are not escaped (STOMP 1.2, "Value Encoding"), so a
//     passcode with a colon or a backslash arrives as it is. go-stomp escapes it.
//   - Heart-beats are negotiated as "Heart-beating" says and kept here. go-stomp
//     expects beats from a server that said it sends none, counts whole frames
//     instead of bytes as life, and sends and checks none while a consumer is
//     slow.
//   - Why a connection ended is kept: [Conn.Err] has the ERROR and the WebSocket
//     close code. go-stomp gives an ERROR only to calls and subscriptions that
//     happen to wait, and its Disconnect may return nil after one.
//   - The context given to [Dial] bounds the whole handshake.
//
// # What remains of it
//
// Header values are escaped and unescaped with the table of STOMP 1.2 in every
// version, so colons, backslashes and line ends in headers do not survive a
// STOMP 1.0 session. Memory for a body is allocated from its content-length
// before it is read: set [Options.ReadLimit] and dial servers that you trust. A
// subscription that is not read stops the whole connection once about forty
// messages wait; read every subscription until its channel is closed, and also
// while Disconnect runs. Do not put a `receipt` header on Subscribe: go-stomp
// takes the RECEIPT for the end of the subscription. A Send with a receipt that begins at the very moment
// the connection ends returns only after its time limit, thirty seconds unless
// stomp.ConnOpt.RcvReceiptTimeout is among [Options.Stomp]; watch [Conn.Done]
// where that is too long. A receipt that did not come within that limit leaves
// a goroutine of go-stomp behind: dial anew after one.
package client
