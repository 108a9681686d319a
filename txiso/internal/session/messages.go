package session

import (
	"bytes"
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgproto3"
)

// encode appends msg to b. A message that cannot be encoded (over 1 GB) cannot arise here.
func encode(b []byte, msg pgproto3.Message) []byte {
	b, err := msg.Encode(b)
	if err != nil {
		panic("txiso: " + err.Error())
	}
	return b
}

func appendReady(b []byte, status byte) []byte {
	return append(b, 'Z', 0, 0, 0, 5, status)
}

func appendComplete(b []byte, tag string) []byte {
	return encode(b, &pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

func appendQuery(b []byte, sql string) []byte {
	b = append(b, 'Q')
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(sql)+1))
	b = append(b, sql...)
	return append(b, 0)
}

// pgError is an error in the shape the server gives it.
func pgError(code, message string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code, Message: message}
}

func pgWarning(code, message string) *pgproto3.NoticeResponse {
	return &pgproto3.NoticeResponse{Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: code, Message: message}
}

// cstring splits a zero-terminated string off b. ok is false when there is no terminator.
func cstring(b []byte) (s string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, false
	}
	return string(b[:i]), b[i+1:], true
}

// errorField returns a field of an encoded ErrorResponse or NoticeResponse, without its type byte (manual 55.8).
func errorField(body []byte, field byte) string {
	for len(body) > 1 {
		value, rest, ok := cstring(body[1:])
		if !ok {
			return ""
		}
		if body[0] == field {
			return value
		}
		body = rest
	}
	return ""
}
