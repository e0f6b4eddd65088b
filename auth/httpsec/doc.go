// Package httpsec makes the HTTP decisions on which security depends: which
// page sent a request (Origin), whether that page may send it, whether the
// request was meant for this server (Host), which token it carries
// (Authorization), which addresses belong to one client, and whether a secret
// may be sent to a URL. A browser lets a page of any site open a WebSocket to
// any other site and sends the cookies with it, so the server must check the
// origin (RFC 6455 section 10.2).
//
// All code that accepts requests or sends secrets uses this implementation: the
// broker, SockJS, the admin API, the ticket endpoint, polling of a Web Flow,
// the clients of providers and backends, and the check of the configuration. A
// test fails if there is a second one. [CORS] sets the headers that tell
// browsers about pages of other origins.
package httpsec
