package frames_test

import (
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/frames"
)

func Example() {
	var d frames.Decoder
	d.SetVersion(frames.V12)
	for _, chunk := range []string{"SEND\ndestina", "tion:/topic/a\n\nhel", "lo\x00\nDISCONNECT\n\n\x00"} {
		d.Feed([]byte(chunk))
		for {
			f, ok, err := d.Next()
			if err != nil {
				fmt.Println(err)
				return
			}
			if !ok {
				break
			}
			fmt.Printf("%s %s %q\n", f.Command, f.Get(frames.HeaderDestination), f.Body)
		}
	}
	// Output:
	// SEND /topic/a "hello"
	// DISCONNECT  ""
}

func ExampleAppend() {
	out := frames.Append(nil, frames.V12, &frames.Frame{
		Command: frames.CommandMessage,
		Headers: []frames.Header{
			{Name: frames.HeaderDestination, Value: "/topic/a"},
			{Name: "note", Value: "first:\nsecond"},
		},
		Body: []byte("hello"),
	})
	fmt.Printf("%q\n", out)
	// Output:
	// "MESSAGE\ndestination:/topic/a\nnote:first\\c\\nsecond\ncontent-length:5\n\nhello\x00"
}

func ExampleNegotiateVersion() {
	connect := frames.Frame{Headers: []frames.Header{{Name: frames.HeaderAcceptVersion, Value: "1.0, 1.2"}}}
	fmt.Println(frames.NegotiateVersion(connect.Lookup(frames.HeaderAcceptVersion)))
	// Output:
	// 1.2 <nil>
}

func ExampleNegotiateHeartBeat() {
	server := frames.HeartBeat{Send: 10 * time.Second, Receive: 10 * time.Second}
	client, err := frames.ParseHeartBeat("0,30000")
	send, receive := frames.NegotiateHeartBeat(server, client)
	fmt.Println(send, receive, err)
	// Output:
	// 30s 0s <nil>
}
