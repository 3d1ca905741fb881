// A server and a client of Go's net/http, standard library only, for the conformance cases.
//
//	peer serve [-cert FILE -key FILE]        prints "listening ADDRESS", serves HTTP/1.1 and HTTP/2 (h2c by prior knowledge)
//	peer ask -url URL [-h2] [-ca FILE]       asks such a server through whatever is between; exits 1 at the first wrong answer
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// ---- server ----

// What came, in trailers that follow the body: of its digest and of the request's own trailer.
func digest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Digest, X-Seen")
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%d", n)
	w.Header().Set("X-Digest", fmt.Sprintf("%x", h.Sum(nil)))
	w.Header().Set("X-Seen", r.Trailer.Get("X-Sent"))
}

// Answers while the request is still coming.
func duplex(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.EnableFullDuplex()
	w.WriteHeader(200)
	_ = c.Flush()
	buf := make([]byte, 4096)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n])
			_ = c.Flush()
		}
		if err != nil {
			return
		}
	}
}

func mux() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/digest", digest)
	m.HandleFunc("/duplex", duplex)
	m.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Link", "</b.css>; rel=preload")
		w.WriteHeader(103)
		fmt.Fprint(w, "hinted")
	})
	m.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(code)
	})
	m.HandleFunc("/size/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		if r.Method != "HEAD" {
			_, _ = io.CopyN(w, zeros{}, int64(n))
		}
	})
	m.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 403) })
	m.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 100000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	m.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); gone <- struct{}{} })
	m.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			w.WriteHeader(504)
		}
	})
	m.HandleFunc("/proto", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	return m
}

var gone = make(chan struct{}, 100)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func serve(args []string) {
	f := flag.NewFlagSet("serve", flag.ExitOnError)
	cert, key := f.String("cert", "", ""), f.String("key", "", "")
	_ = f.Parse(args)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("%v", err)
	}
	fmt.Println("listening", l.Addr())
	s := &http.Server{Handler: mux(), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	if *cert != "" {
		err = s.ServeTLS(l, *cert, *key)
	} else {
		err = s.Serve(l)
	}
	fail("%v", err)
}

// ---- client ----
type client struct {
	*http.Client
	url string
	h2  bool
}

func (c *client) do(method, path string, body io.Reader, change func(*http.Request)) *http.Response {
	r, err := http.NewRequest(method, c.url+path, body)
	if err != nil {
		fail("%v", err)
	}
	if change != nil {
		change(r)
	}
	a, err := c.Do(r)
	if err != nil {
		fail("%s %s: %v", method, path, err)
	}
	want := 1
	if c.h2 {
		want = 2
	}
	if a.ProtoMajor != want {
		fail("%s came by %s", path, a.Proto)
	}
	return a
}

func whole(a *http.Response) string {
	b, err := io.ReadAll(a.Body)
	if err != nil {
		fail("%s: body: %v", a.Request.URL.Path, err)
	}
	_ = a.Body.Close()
	return string(b)
}

func (c *client) digests() {
	for _, n := range []int{0, 1, 70000, 3 << 20} {
		body := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		want := fmt.Sprintf("%x", sha256.Sum256(body))
		for _, length := range []bool{true, false} {
			a := c.do("POST", "/digest", io.NopCloser(bytes.NewReader(body)), func(r *http.Request) {
				if length {
					r.ContentLength = int64(n)
				} else {
					r.ContentLength = -1
					r.Trailer = http.Header{"X-Sent": {"yes"}}
				}
			})
			text := whole(a)
			seen := a.Trailer.Get("X-Seen")
			if text != strconv.Itoa(n) || a.Trailer.Get("X-Digest") != want || (!length && seen != "yes") {
				fail("digest of %d (length %v): %q, trailers %v", n, length, text, a.Trailer)
			}
		}
	}
}

func (c *client) duplexes() {
	r, w := io.Pipe()
	a := c.do("POST", "/duplex", r, nil)
	buf := make([]byte, 7)
	for i := range 20 {
		line := fmt.Sprintf("line%03d", i)
		_, _ = io.WriteString(w, line)
		if _, err := io.ReadFull(a.Body, buf); err != nil || string(buf) != line {
			fail("duplex: %v %q", err, buf)
		}
	}
	_ = w.Close()
	if rest := whole(a); rest != "" {
		fail("duplex: rest %q", rest)
	}
}

func (c *client) hints() {
	var links []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		links = append(links, fmt.Sprint(code, h["Link"]))
		return nil
	}}
	a := c.do("GET", "/hints", nil, func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) })
	if text := whole(a); text != "hinted" || len(links) != 2 || !strings.HasPrefix(links[0], "103 [</a.css>") {
		fail("hints: %q %v", text, links)
	}
}

func (c *client) bodiless() {
	for _, code := range []int{204, 304, 404, 503} {
		a := c.do("GET", fmt.Sprintf("/status/%d", code), nil, nil)
		if text := whole(a); a.StatusCode != code || text != "" || a.Header.Get("Etag") != `"x"` {
			fail("status %d: %d %q", code, a.StatusCode, text)
		}
	}
	a := c.do("HEAD", "/size/12345", nil, nil)
	if whole(a) != "" || a.ContentLength != 12345 {
		fail("HEAD: length %d", a.ContentLength)
	}
	a = c.do("GET", "/size/12345", nil, nil)
	if len(whole(a)) != 12345 || a.ContentLength != 12345 {
		fail("GET: length %d", a.ContentLength)
	}
}

// The server says no before the body is there; the client does not mind, and its next request works.
func (c *client) refused() {
	for _, expect := range []bool{true, false} {
		a := c.do("POST", "/refuse", io.LimitReader(zeros{}, 1<<20), func(r *http.Request) {
			if expect {
				r.Header.Set("Expect", "100-continue")
			}
		})
		if text := whole(a); a.StatusCode != 403 || text != "no\n" {
			fail("refuse: %d %q", a.StatusCode, text)
		}
	}
}

func (c *client) broken() {
	if a, err := c.Get(c.url + "/cut"); err == nil {
		if n, err := io.Copy(io.Discard, a.Body); err == nil {
			fail("a cut answer of %d bytes looks whole", n)
		}
	}
	if !c.h2 {
		return // closing a connection of HTTP/1 may mean half of it
	}
	ctx, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	r, _ := http.NewRequestWithContext(ctx, "GET", c.url+"/hang", nil)
	if _, err := c.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		fail("hang: %v", err)
	}
	if a := c.do("GET", "/gone", nil, nil); a.StatusCode != 200 {
		fail("the server was not told that its client went")
	} else {
		whole(a)
	}
}

func (c *client) many() {
	var g sync.WaitGroup
	for i := range 100 {
		g.Add(1)
		go func() {
			defer g.Done()
			for range 3 {
				if n := 1000 * (i + 1); len(whole(c.do("GET", fmt.Sprintf("/size/%d", n), nil, nil))) != n {
					fail("size %d", n)
				}
			}
		}()
	}
	g.Wait()
}

func ask(args []string) {
	f := flag.NewFlagSet("ask", flag.ExitOnError)
	url, h2, ca := f.String("url", "", ""), f.Bool("h2", false, ""), f.String("ca", "", "")
	behind, host := f.String("behind", "", "what the server must say it was asked in"), f.String("name", "shop.example", "")
	_ = f.Parse(args)
	t := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 20, ExpectContinueTimeout: 5 * time.Second}
	t.Protocols.SetHTTP1(!*h2)
	t.Protocols.SetHTTP2(*h2)
	t.Protocols.SetUnencryptedHTTP2(*h2)
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			fail("%v", err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: *host}
		t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	c := &client{&http.Client{Transport: t, Timeout: 60 * time.Second}, *url, *h2}
	if text := whole(c.do("GET", "/proto", nil, nil)); text != *behind {
		fail("asked in %s, want %s", text, *behind)
	}
	c.digests()
	if *h2 || *behind == "HTTP/1.1" {
		c.duplexes()
	}
	c.hints()
	c.bodiless()
	c.refused()
	c.broken()
	c.many()
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve(os.Args[2:])
	} else if len(os.Args) > 1 && os.Args[1] == "ask" {
		ask(os.Args[2:])
	} else {
		fail("serve or ask")
	}
}
