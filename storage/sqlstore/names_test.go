package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// dumped is all that the tables hold, a line for each row.
func dumped(t *testing.T, s *Store) string {
	t.Helper()
	var all strings.Builder
	err := s.db.read(t.Context(), func(c *conn) error {
		tables, err := rowsOf(t, c, "SELECT name FROM sqlite_master WHERE type = 'table'")
		for _, table := range tables {
			rows, err := rowsOf(t, c, `SELECT * FROM "`+table+`"`)
			if err != nil {
				return err
			}
			for _, row := range rows {
				fmt.Fprintf(&all, "%s: %s\n", table, row)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// rowsOf is the result of a query, a text for each row.
func rowsOf(t *testing.T, c *conn, query string) (all []string, err error) {
	rows, err := c.sql.QueryContext(t.Context(), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var row []string
		for _, v := range values {
			row = append(row, v.String)
		}
		all = append(all, strings.Join(row, " "))
	}
	return all, rows.Err()
}

// An SMSC may call a text by the number. Its receipt finds the text, and no table says
// the number, whichever came first.
func TestWhatSendersCallTextsIsNotKept(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	text := func(id, e164 string) storage.Text {
		return storage.Text{
			ID: storage.TextID(id), Reference: id, Challenge: storage.ChallengeID(id), Number: number(t, e164), Region: "JP",
			At: testTime, ExpiresAt: testTime, Outcome: storage.TextHandedOver, Sender: "main", MessageID: "t-" + e164[1:] + "-1",
			Story: storage.TextStory{Attempts: []storage.TextAttempt{{Sender: "main"}}},
		}
	}
	first, second := text("first", "+819012345678"), text("second", "+819087654321")
	receipt := func(t storage.Text) storage.TextReceipt {
		return storage.TextReceipt{Sender: "main", MessageID: t.MessageID, State: "delivered", At: testTime}
	}
	save := func(texts ...storage.Text) {
		t.Helper()
		if _, err := s.SaveTexts(t.Context(), storage.TextRecords{Texts: texts}); err != nil {
			t.Fatal(err)
		}
	}
	save(first)
	for _, r := range []storage.TextReceipt{receipt(first), receipt(second)} {
		if err := s.SaveReceipt(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	save(second)
	all := dumped(t, s)
	for _, digits := range []string{"9012345678", "9087654321"} {
		if strings.Contains(all, digits) {
			t.Errorf("%s is in the database:\n%s", digits, all)
		}
	}
	if strings.Count(all, "receipts: ") != 2 || strings.Count(all, "texts: ") != 2 {
		t.Fatalf("the tables hold\n%s", all)
	}
	for _, want := range []storage.Text{first, second} {
		wantDelivered(t, s, want.ID)
	}
}

// wantDelivered looks for the one text of a reference that is its ID, and its receipt.
func wantDelivered(t *testing.T, s *Store, id storage.TextID) {
	t.Helper()
	lines, err := s.Timelines(t.Context(), string(id))
	if err != nil {
		t.Fatal(err)
	}
	if r := lines[0].Receipts; len(r) != 1 || r[0].State != "delivered" || r[0].Text != id || !r[0].At.Equal(testTime) {
		t.Errorf("receipts of %s: %+v", id, r)
	}
}

// The version before wrote what senders call texts as it is, and goes on to while it
// runs beside this one. Reseal puts a MAC in its place, and nothing else is lost.
func TestNamesOfTheVersionBeforeAreKeyed(t *testing.T) {
	t.Parallel()
	v, err := crashVault()
	if err != nil {
		t.Fatal(err)
	}
	const e164, name = "+819012345678", "t819012345678"
	rows := func(id string) string {
		return fmt.Sprintf(`
INSERT INTO texts (id, reference, challenge, purpose, client_id, connection, number, number_index, region, at_ms, expires_ms, outcome, sender, message_id, story)
VALUES ('%[1]s', '%[1]s', 'login:%[1]s', 'login', 'app', 'sms', X'%[2]x', X'%[3]x', 'JP', %[4]d, %[4]d, 'handed_over', 'main', '%[5]s-%[1]s', '{}');
INSERT INTO text_receipts (sender, message_id, state, code, at_ms) VALUES ('main', '%[5]s-%[1]s', 'delivered', '', %[4]d);`,
			id, v.Seal(vault.Number, textPlace(storage.TextID(id)), []byte(e164)), v.MAC(vault.NumberIndex, e164), testTime.UnixMilli(), name)
	}
	const many = resealBatch + 1
	var old strings.Builder
	for i := range many {
		old.WriteString(rows(fmt.Sprint("old", i)))
	}
	data := filepath.Join(t.TempDir(), "texts.sql")
	if err := os.WriteFile(data, []byte(old.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{URL: "sqlite:" + atVersion(t, 9, data), Vault: v})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.db.write(t.Context(), fast, func(c *conn) error {
		_, err := c.sql.ExecContext(t.Context(), rows("beside"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(dumped(t, s), name) {
		t.Fatal("the old rows have no names")
	}
	if err := s.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := dumped(t, s); strings.Contains(all, "9012345678") {
		t.Errorf("the number is in the database:\n%s", all)
	}
	wantDelivered(t, s, "old0")
	wantDelivered(t, s, "beside")
	deliveries, err := s.Deliveries(t.Context(), testTime)
	if err != nil || len(deliveries) != 1 || deliveries[0].Sent != many+1 || deliveries[0].Delivered != many+1 {
		t.Errorf("deliveries %+v, %v", deliveries, err)
	}
	// What was told before is a replay still.
	if err := s.SaveReceipt(t.Context(), storage.TextReceipt{
		Sender: "main", MessageID: name + "-old0", State: "delivered", At: testTime,
	}); !errors.Is(err, storage.ErrConsumed) {
		t.Errorf("an old receipt again: %v", err)
	}
}
