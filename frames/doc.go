// Package frames reads and writes STOMP 1.0, 1.1 and 1.2 frames, and settles versions and heart-beats. It is a leaf: no
// I/O, no goroutines, nothing but the standard library, and so it serves brokers, clients and proxies over any transport.
//
//	var d frames.Decoder
//	d.Feed(chunk) // any chunk: half a frame or many
//	for {
//		f, ok, err := d.Next()
//		if err != nil {
//			return err // the text is fit for an ERROR frame
//		}
//		if !ok {
//			break // read on, feed again
//		}
//		handle(f) // valid until the next call of Next
//	}
//
// The bytes come from strangers. A [Decoder] holds no more of an unfinished frame than its [Limits] allow and refuses what
// goes beyond as soon as that can be known: an unknown command at its first wrong byte, a content-length with the end of
// the headers. An ordinary frame costs it one allocation, a heart-beat none, and between frames it holds no buffer.
//
// [Append] writes frames for one receiver. What its version cannot express is left out, so no value, whoever chose it, can
// become a header or a frame of its own.
package frames
