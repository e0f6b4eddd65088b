package frames

import (
	"strings"
	"testing"
)

func benchmarkDecode(b *testing.B, frames int, in string) {
	p := []byte(in)
	var d Decoder
	d.SetVersion(V12)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(p)
		got := 0
		for {
			_, ok, err := d.Next()
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
			got++
		}
		if got != frames {
			b.Fatal(got)
		}
	}
}

const benchSend = "SEND\ndestination:/topic/prices.eu\ncontent-type:application/json\ncontent-length:100\n\n"

func BenchmarkDecodeSend(b *testing.B) {
	benchmarkDecode(b, 1, benchSend+strings.Repeat("x", 100)+"\x00")
}

func BenchmarkDecodeSendBatch(b *testing.B) {
	benchmarkDecode(b, 20, strings.Repeat(benchSend+strings.Repeat("x", 100)+"\x00", 20))
}

func BenchmarkDecodeEscaped(b *testing.B) {
	benchmarkDecode(b, 1, "SEND\ndestination:/topic/prices.eu\nlink:https\\c//example.org\n\n\x00")
}

func BenchmarkDecodeHeartBeat(b *testing.B) {
	benchmarkDecode(b, 0, "\n")
}

func BenchmarkAppendMessage(b *testing.B) {
	f := frame(CommandMessage, strings.Repeat("x", 100), HeaderSubscription, "sub-0", HeaderMessageID, "6f1c8e9a-42",
		HeaderDestination, "/topic/prices.eu", HeaderContentType, "application/json")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], V12, f)
	}
	b.SetBytes(int64(len(buf)))
}
