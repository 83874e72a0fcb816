package e2e

import (
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"github.com/handset-oidc/handset/config"
	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// smsc is an SMSC that calls each text by the number that it goes to, and says at once
// that it was delivered.
type smsc struct {
	t     testing.TB
	l     net.Listener
	names atomic.Int64
	texts chan string // what was texted
}

func newSMSC(t testing.TB) *smsc {
	s := &smsc{t: t, l: listen(t), texts: make(chan string, 16)}
	var connections sync.WaitGroup
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := s.l.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { s.serve(conn) })
		}
	}()
	t.Cleanup(func() {
		s.l.Close()
		<-done
		connections.Wait()
	})
	return s
}

// serve answers what comes until the client is gone.
func (s *smsc) serve(conn net.Conn) {
	defer conn.Close()
	for {
		p, err := pdu.Parse(conn)
		if err != nil {
			return
		}
		submitted, ok := p.(*pdu.SubmitSM)
		if !ok {
			if p.CanResponse() {
				s.send(conn, p.GetResponse())
			}
			continue
		}
		body, err := submitted.Message.GetMessage()
		if err != nil {
			s.t.Errorf("a text that can't be read: %v", err)
		}
		s.texts <- body
		name := fmt.Sprintf("%s%03d", strings.TrimPrefix(submitted.DestAddr.Address(), "+"), s.names.Add(1))
		taken := submitted.GetResponse().(*pdu.SubmitSMResp)
		taken.MessageID = name
		s.send(conn, taken)
		receipt := pdu.NewDeliverSM().(*pdu.DeliverSM)
		receipt.EsmClass = data.SM_SMSC_DLV_RCPT_TYPE
		if err := receipt.Message.SetMessageWithEncoding("id:"+name+" sub:001 dlvrd:001 stat:DELIVRD err:000 text:", data.GSM7BIT); err != nil {
			s.t.Error(err)
		}
		s.send(conn, receipt)
	}
}

func (s *smsc) send(conn net.Conn, p pdu.PDU) {
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	_, _ = conn.Write(b.Bytes()) // a client that is gone is the next read's business
}

// options are those of a connection that sends by it.
func (s *smsc) options() config.Options {
	return config.NewOptions(fmt.Sprintf(
		`{"provider":"smpp","smpp_host":%q,"smpp_tls":false,"smpp_system_id":"handset","smpp_password":"hunter2","from":"+12345678"}`, s.l.Addr()))
}

// An SMSC that calls texts by the number they go to: its receipt finds the text, the
// operator reads so, and neither a table nor a log nor the operator's terminal says the
// number.
func TestReceiptsOfAnSMSCThatNamesTextsByTheNumber(t *testing.T) {
	t.Parallel()
	s := newSMSC(t)
	dir := t.TempDir()
	file, key := filepath.Join(dir, "handset.db"), vault.Generate()
	r := start(t, withoutAddressLimits(), withDatabase(file), withKey(key), withConfig(func(c *config.Config) {
		c.Connections[0].Options = s.options()
	}))
	number := newNumber()
	p := r.authorize(newBrowser(t), r.newRequest(webClient)).submit("/login/phone", "phone", number).wants(http.StatusOK, "Check your phone")
	code := codePattern.FindString(<-s.texts)
	reference := p.reference(t)
	awaits(t, "the receipt finds its text", func() bool {
		receipts := r.timeline(reference, 1, 0).Receipts
		return len(receipts) == 1 && receipts[0].State == "delivered"
	})
	p.submit("/login/code", "code", code).answer()
	r.timeline(reference, 1, 1)

	story := r.command(dir, key, "why", reference)
	for _, want := range []string{
		"sms took the text in ", " and calls it by the number or the code, which is not shown\n", "sms says of its text: delivered\n",
	} {
		if !strings.Contains(story, want) {
			t.Errorf("handset why: %q is missing in\n%s", want, story)
		}
	}
	digits := number[len(number)-9:]
	for where, text := range map[string]string{
		"log": r.logs.String(), "handset why": story, "handset sms routes": r.command(dir, key, "sms", "routes"), "database": tables(t, file),
	} {
		if strings.Contains(text, digits) {
			t.Errorf("%s says the number:\n%s", where, text)
		}
	}
	deliveries, err := r.server.SQL.Deliveries(t.Context(), r.clock.Now().Add(-time.Hour))
	if err != nil || len(deliveries) != 1 || deliveries[0] != (storage.Delivery{Sender: "sms", Region: "GB", Sent: 1, Delivered: 1, Verified: 1}) {
		t.Errorf("deliveries %+v, %v", deliveries, err)
	}
}

// command runs the built command on the rig's database, and returns all that it prints.
func (r *rig) command(dir, key string, args ...string) string {
	r.t.Helper()
	binary, file := filepath.Join(dir, "handset"), filepath.Join(dir, "handset.yaml")
	if _, err := os.Stat(binary); err != nil {
		if out, err := exec.CommandContext(r.t.Context(), "go", "build", "-o", binary, "../../cmd/handset").CombinedOutput(); err != nil {
			r.t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	text := fmt.Sprintf("issuer: %s\ndatabase: %s\n", r.issuer, r.config.Database.Reveal())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), binary, append(args, "--config", file)...)
	cmd.Env = append(os.Environ(), "HANDSET_SECRET_KEY="+key)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("handset %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// tables is all that the tables of a database hold, as text.
func tables(t testing.TB, file string) string {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all strings.Builder
	for _, table := range column(t, db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		for _, name := range column(t, db, "SELECT name FROM pragma_table_info('"+table+"')") {
			for _, value := range column(t, db, `SELECT "`+name+`" FROM "`+table+`"`) {
				fmt.Fprintf(&all, "%s.%s: %s\n", table, name, value)
			}
		}
	}
	if !strings.Contains(all.String(), "\nreceipts.state: delivered\n") {
		t.Fatalf("the tables hold no receipt:\n%s", all.String())
	}
	return all.String()
}

func column(t testing.TB, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var value sql.NullString
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		all = append(all, value.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
