//go:build !nostore

package embedded

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// An export is a tar archive:
//
//	hoofbeat-export.json           exportHeader
//	streams/NAME/stream.json       exportStream, which begins a stream
//	streams/NAME/snapshot          a piece of the engine's snapshot; many
//	end.json                       exportEnd
//
// tar knows the size of a file before its content, and a snapshot has none
// before its end. So each piece is a file. The end has a checksum of all before
// it: what has no end is not complete.
const (
	exportFormat = 1
	headerName   = "hoofbeat-export.json"
	endName      = "end.json"
	beginName    = "stream.json"
	pieceName    = "snapshot"
	// maxPiece is the most that a reader takes of one entry. Writers use
	// pieceSize.
	maxPiece  = 1 << 20
	pieceSize = 128 << 10
)

// exportHeader is the first entry.
type exportHeader struct {
	Format   int       `json:"format"`
	Made     time.Time `json:"made"`
	Node     string    `json:"node"`     // of the directory that was exported
	Messages uint64    `json:"messages"` // in all streams
	Bytes    uint64    `json:"bytes"`    // in all streams, as they are in a directory
	Limits   int64     `json:"limits"`   // of the bytes of all streams: what Options.Disk must be
	Streams  []string  `json:"streams"`
}

// exportStream begins a stream. Config and State are the engine's.
type exportStream struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

// exportEnd is the last entry.
type exportEnd struct {
	SHA256 string `json:"sha256"`
}

func badExport(format string, v ...any) error { return &ExportError{fmt.Sprintf(format, v...)} }

var errEntry = badExport("the export is damaged: use another copy")

var errTruncated = badExport("the export is truncated: it has no end. Use a complete copy")

// digest is the checksum of the entries so far.
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) add(name string, data []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(data)))
	for _, part := range [][]byte{[]byte(name), {0}, size[:], data} {
		d.Write(part)
	}
}

func (d digest) String() string { return hex.EncodeToString(d.Sum(nil)) }

// exportWriter writes the entries of an export.
type exportWriter struct {
	tar  *tar.Writer
	sum  digest
	made time.Time
}

func newExportWriter(w io.Writer, made time.Time) *exportWriter {
	return &exportWriter{tar: tar.NewWriter(w), sum: newDigest(), made: made}
}

func (w *exportWriter) entry(name string, data []byte) error {
	h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: w.made}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	w.sum.add(name, data)
	_, err := w.tar.Write(data)
	return err
}

func (w *exportWriter) json(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.entry(name, data)
}

func (w *exportWriter) begin(stream string, s exportStream) error {
	return w.json("streams/"+stream+"/"+beginName, s)
}

func (w *exportWriter) piece(stream string, data []byte) error {
	return w.entry("streams/"+stream+"/"+pieceName, data)
}

// end completes the export.
func (w *exportWriter) end() error {
	if err := w.json(endName, exportEnd{w.sum.String()}); err != nil {
		return err
	}
	return w.tar.Close()
}

// exportReader reads the entries of an export. It trusts nothing that it reads.
type exportReader struct {
	in     io.Reader
	tar    *tar.Reader
	sum    digest
	header exportHeader

	name string // the current entry
	data []byte
}

// newExportReader reads the header.
func newExportReader(in io.Reader) (*exportReader, error) {
	r := &exportReader{in: in, tar: tar.NewReader(in), sum: newDigest()}
	err := r.next()
	switch {
	case errors.Is(err, errTruncated), errors.Is(err, errEntry), err == nil && r.name != headerName:
		return nil, badExport("this is not an export of hoofbeat")
	case err != nil:
		return nil, err
	}
	var version struct{ Format int }
	switch {
	case json.Unmarshal(r.data, &version) != nil || version.Format < 1:
		return nil, badExport("the export is damaged: use another copy")
	case version.Format > exportFormat:
		return nil, badExport("the export was written by a newer version of hoofbeat (format %d, this version reads up to %d): use that version", version.Format, exportFormat)
	case json.Unmarshal(r.data, &r.header) != nil:
		return nil, badExport("the export is damaged: use another copy")
	}
	return r, nil
}

// next reads the next entry into name and data.
func (r *exportReader) next() error {
	h, err := r.tar.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	case errors.Is(err, tar.ErrHeader), err == nil && (h.Typeflag != tar.TypeReg || h.Size > maxPiece):
		return errEntry
	case err != nil:
		return err
	}
	r.name = h.Name
	r.data = make([]byte, h.Size)
	if _, err := io.ReadFull(r.tar, r.data); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	} else if err != nil {
		return err
	}
	if h.Name != endName {
		r.sum.add(h.Name, r.data)
	}
	return nil
}

// stream reads the entry that begins a stream, which must be this one. The
// entry may have been read already.
func (r *exportReader) stream(want string, already bool) (s exportStream, err error) {
	if !already {
		if err := r.next(); err != nil {
			return s, err
		}
	}
	if r.name != "streams/"+want+"/"+beginName || json.Unmarshal(r.data, &s) != nil || len(s.Config) == 0 || len(s.State) == 0 {
		return s, badExport("the export is damaged where the stream %s begins: use another copy", want)
	}
	return s, nil
}

// piece reads the next entry, and reports whether it is a piece of a stream.
func (r *exportReader) piece(stream string) (bool, error) {
	if err := r.next(); err != nil {
		return false, err
	}
	return r.name == "streams/"+stream+"/"+pieceName, nil
}

// checkEnd checks that the current entry is the end, and that nothing follows.
func (r *exportReader) checkEnd() error {
	var end exportEnd
	switch {
	case r.name != endName:
		return badExport("the export is damaged: %q is not expected. Use another copy", short(r.name))
	case json.Unmarshal(r.data, &end) != nil || end.SHA256 != r.sum.String():
		return badExport("the checksum of the export is wrong: it is damaged. Use another copy")
	}
	// What encrypts the export may have its own proof of completeness at the
	// end, which is only checked by reading up to it.
	rest, err := io.ReadAll(io.LimitReader(r.in, maxPiece))
	if err != nil {
		return err
	}
	if len(bytes.Trim(rest, "\x00")) > 0 || len(rest) == maxPiece {
		return badExport("the export is damaged: something follows its end. Use another copy")
	}
	return nil
}

// short is a text of an export for an error.
func short(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}
