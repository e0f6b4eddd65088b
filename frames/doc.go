// Package frames reads and writes STOMP 1.0, 1.1 and 1.2 frames, and negotiates
// versions and heart-beats. It does no I/O, starts no goroutines and imports
// only the standard library, so brokers, clients and proxies can use it over
// any transport.
//
//	var d frames.Decoder
//	d.Feed(chunk) // any chunk: half a frame or many
//	for {
//		f, ok, err := d.Next()
//		if err != nil {
//			return err // the text may be sent in an ERROR frame
//		}
//		if !ok {
//			break // read more, then feed again
//		}
//		handle(f) // valid until the next call of Next
//	}
//
// The input is untrusted. A [Decoder] holds no more of an unfinished frame than
// its [Limits] allow, and refuses an oversized or invalid frame as early as
// possible: an unknown command at its first wrong byte, a large content-length
// at the end of the headers. An ordinary frame takes one allocation, a
// heart-beat none. Between frames a Decoder holds no buffer.
//
// [Append] encodes frames for one receiver. It omits what that receiver's
// version cannot express, so no value can inject a header or a frame.
package frames
