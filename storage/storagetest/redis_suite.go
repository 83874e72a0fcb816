package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/internal/vault"
	"github.com/handset-oidc/handset/storage"
)

// Ephemeral is all that a store of what lives for minutes must do.
type Ephemeral interface {
	CreateTransaction(ctx context.Context, t storage.Transaction, now time.Time, limits ...storage.Limit) error
	KeepPosted(ctx context.Context, p storage.Posted, now time.Time, limits ...storage.Limit) error
	Posted(ctx context.Context, endpoint, ref string) (form string, err error)
	TakePosted(ctx context.Context, endpoint, ref string) (form string, err error)
	Login(ctx context.Context, id storage.TransactionID, challenge storage.ChallengeID) (storage.Transaction, storage.Challenge, error)
	Challenge(ctx context.Context, id storage.ChallengeID) (storage.Challenge, error)
	StartChallenge(ctx context.Context, c storage.StartChallenge) (storage.Started, error)
	UndoSend(ctx context.Context, id storage.ChallengeID, undo []byte, late bool, now time.Time) error
	CheckChallenge(ctx context.Context, c storage.CheckChallenge) (storage.Checked, error)
	PutAccessToken(ctx context.Context, mac []byte, t storage.AccessToken, now time.Time) error
	AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error)
	DeleteAccessToken(ctx context.Context, macs [][]byte) error
	TakeLimit(ctx context.Context, l storage.Limit, now time.Time) (storage.Taken, error)
	UseAssertion(ctx context.Context, tag string, expires, now time.Time) error
	Ping(ctx context.Context) error
}

// RedisPatience is the timeout of stores in tests that are not about timeouts: a
// busy machine may take longer than people should wait, and that is not what they
// are to find out.
const RedisPatience = 30 * time.Second

// Redis is an empty store for one case, and the server behind it.
type Redis struct {
	Store Ephemeral
	// Raw looks at the server past the store.
	Raw redis.UniversalClient
	// Real says that the server's own account of its memory is true.
	Real bool
	// Vault is the one that the store was opened with.
	Vault *vault.Vault
}

// RunRedis runs every promise of an ephemeral store against stores that open
// makes, one new and empty store per call. Its cases race by the hundred, so a
// store must be given [RedisPatience].
func RunRedis(t *testing.T, open func(t *testing.T) Redis) {
	for _, c := range redisCases {
		t.Run(c.promise, func(t *testing.T) {
			t.Parallel()
			c.run(t, newPlace(t, open(t)))
		})
	}
}

var redisCases = []struct {
	promise string
	run     func(t *testing.T, p *place)
}{
	// redis_guesses.go
	{"WrongGuessesInParallelNeverExceedTheLimit", wrongGuessesInParallel},
	{"OneRightCodeAmong200IsNoBetterThanFiveTries", oneRightAmongMany},
	{"RightCodeSpentOnceUnder50Racers", rightCodeSpentOnce},
	{"UsedCodeStaysUsed", usedCodeStaysUsed},
	{"RightCodeAfterTheLastTryIsDead", rightCodeAfterTheLastTry},
	{"MalformedCodesCostNoTryUntilTheirOwnLimit", malformedCodes},
	{"ExpiredCodeIsNeverAccepted", expiredCode},
	{"ClockJumpsNeverReviveACode", clockJumps},
	{"UnknownChallengeIsGone", unknownChallenge},
	{"RefusedCheckEvaluatesNothing", refusedCheck},
	{"EmptiedGuessBucketRecoversAtHalf", emptiedGuessBucket},
	{"EmptiedGuessBucketLeavesLiveShortCodesOneTry", emptiedBucketClamps},
	{"RightCodeGivesItsTextBackAsOftenAsAllowed", refunds},
	// redis_sends.go
	{"FailuresInARowBlockThePair", failuresBlock},
	{"FailuresInParallelBlockThePair", failuresBlockInParallel},
	{"LimitsAreTakenAllOrNone", limitsAllOrNone},
	{"OffLimitsCountNothing", offLimits},
	{"CooldownGrowsWithEachSendInThePlace", cooldownGrows},
	{"UsedCodeEndsTheCooldown", usedCodeEndsCooldown},
	{"CooldownOutlivesAChangeOfNumber", cooldownOverNumbers},
	{"ParallelStartsSendOneText", parallelStarts},
	{"RepeatedCodeKeepsItsCount", repeatedKeepsCount},
	{"NewCodeKillsTheOld", newCodeKills},
	{"CodeIsNewWhenTooLittleTimeIsLeft", newWhenShort},
	{"ResendHintIsTheLongerWait", resendHint},
	{"UndoGivesBackExactlyOnce", undoOnce},
	{"UndoGivesBackOnceUnder20Racers", parallelUndo},
	{"EarlyUndoLeavesNothingOfAFirstSend", earlyUndoFirst},
	{"EarlyUndoRestoresTheCodeBefore", earlyUndoRestores},
	{"EarlyUndoOfARepeatKeepsUsedTries", earlyUndoRepeat},
	{"LateUndoMakesTheNextSendFree", lateUndo},
	{"LateUndoForTheNumberSaysSo", lateUndoNumber},
	{"UndoLeavesANewerSendAlone", undoNewer},
	{"UndoAfterUseChangesNothing", undoAfterUse},
	// redis_records.go
	{"WhatALimitRefusesIsNotKept", refusedIsNotKept},
	{"OneLimitTellsWhatIsLeftOfIt", limitTellsWhatIsLeft},
	{"OneLimitGivesItsBurstUnder50Racers", limitUnderRacers},
	{"PostedFormIsKeptForItsEndpointAlone", postedForm},
	{"TransactionIsReadBackWhole", transactionWhole},
	{"TransactionMovedToAnotherIDDoesNotOpen", transactionMoved},
	{"AccessTokenIsFoundByAnyLiveKey", accessTokenAnyKey},
	{"DeletedAccessTokenIsGone", accessTokenDeleted},
	{"AccessTokenTakesAtMost300Bytes", accessTokenSize},
	{"ChallengeTakesAtMost400Bytes", challengeSize},
	{"AssertionIsUsedOnce", assertionOnce},
	{"EverythingHasATTL", everythingHasATTL},
	{"DumpShowsNoNumberNorCode", dumpShowsNothing},
	{"FlushedStoreNeverAccepts", flushedNeverAccepts},
	{"FlushedScriptsAreLoadedAgain", flushedScripts},
	// redis_model.go
	{"RandomHistoriesFollowTheModel", randomHistories},
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const number = "+819012345678"

// place is one challenge in an empty store, with the limits of security.md §2
// and codes that the test knows.
type place struct {
	Redis
	t   *testing.T
	now time.Time
	id  storage.ChallengeID
	// made counts the codes offered so far: each is another one.
	made                int
	limits              []storage.Limit
	guess               storage.Limit
	verify, refundable  storage.Limit
	block               storage.Limit // off
	refunds             []storage.Limit
	cooldowns           []time.Duration
	lastShort, lastLong string
}

func newPlace(t *testing.T, r Redis) *place {
	return &place{
		Redis: r, t: t, now: start, id: "login:TRANSACTION",
		limits: []storage.Limit{
			{Name: "send_number", Key: "tag", Burst: 5, Every: 3 * time.Hour},
			{Name: "send_address", Key: "net", Burst: 10, Every: time.Minute},
		},
		guess:      storage.Limit{Name: "guess_number", Key: "tag", Burst: 10, Every: 144 * time.Minute},
		verify:     storage.Limit{Name: "verify_address", Key: "net", Burst: 600, Every: time.Second},
		refundable: storage.Limit{Name: "refund_number", Key: "tag", Burst: 10, Every: 144 * time.Minute},
		block:      storage.Limit{Name: "brute_force_protection", Key: "pair"},
		cooldowns: []time.Duration{
			30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		},
	}
}

// request is StartChallenge for numberTag with codes that no request had before.
func (p *place) request(numberTag string) storage.StartChallenge {
	p.made++
	// They begin with 1: a wrong guess in a case never does.
	short, long := fmt.Sprintf("1%05d", 7919*p.made%100000), fmt.Sprintf("1%07d", 7919*p.made)
	p.lastShort, p.lastLong = short, long
	return storage.StartChallenge{
		ID: p.id, Now: p.now, NumberTag: numberTag, Context: []byte("number of " + numberTag + " is " + number),
		Limits: p.limits, Block: p.block, Guess: p.guess, Short: p.newCode(short), Long: p.newCode(long), Tries: 5,
		Life: 5 * time.Minute, MaxLife: 10 * time.Minute, RepeatWithin: 2 * time.Minute,
		Cooldowns: p.cooldowns, Keep: 30 * time.Minute,
	}
}

func (p *place) newCode(code string) storage.NewCode {
	return storage.NewCode{
		Length: len(code), MAC: p.mac(code), Sealed: p.Vault.Seal(vault.SMSCode, string(p.id), []byte(code)),
	}
}

func (p *place) mac(code string) []byte { return p.Vault.MAC(vault.SMSCode, string(p.id), code) }

// send starts a challenge that must not be refused, and returns the code that
// would be texted.
func (p *place) send(numberTag string) (storage.Started, string) {
	p.t.Helper()
	started := p.start(numberTag)
	if started.Limited != nil {
		p.t.Fatalf("send refused: %+v", *started.Limited)
	}
	code, err := p.Vault.Open(vault.SMSCode, string(p.id), started.Sealed)
	if err != nil {
		p.t.Fatalf("the sealed code does not open: %v", err)
	}
	if len(code) != started.Length {
		p.t.Fatalf("code of %d digits, Length says %d", len(code), started.Length)
	}
	return started, string(code)
}

func (p *place) start(numberTag string) storage.Started {
	p.t.Helper()
	started, err := p.Store.StartChallenge(p.t.Context(), p.request(numberTag))
	if err != nil {
		p.t.Fatalf("StartChallenge: %v", err)
	}
	return started
}

// refused starts a challenge that must be refused by name until at.
func (p *place) refused(numberTag, name string, at time.Time) {
	p.t.Helper()
	started := p.start(numberTag)
	if started.Limited == nil {
		p.t.Fatalf("sent; want refused by %s", name)
	}
	if started.Limited.Name != name || !started.Limited.RetryAt.Equal(at) {
		p.t.Fatalf("refused by %+v; want %s until %v", *started.Limited, name, at)
	}
}

func (p *place) undo(started storage.Started, late bool) {
	p.t.Helper()
	if err := p.Store.UndoSend(p.t.Context(), p.id, started.Undo, late, p.now); err != nil {
		p.t.Fatalf("UndoSend: %v", err)
	}
}

// attempt is CheckChallenge; an empty code is malformed.
func (p *place) attempt(code string) storage.CheckChallenge {
	c := storage.CheckChallenge{
		ID: p.id, Now: p.now, Limits: []storage.Limit{p.verify}, Block: p.block, Guess: p.guess, LongLength: 8,
		Refunds: p.refunds, Refundable: p.refundable, MaxMalformed: 20,
	}
	if code != "" {
		c.MAC = p.mac(code)
	}
	return c
}

func (p *place) check(code string) storage.Checked {
	p.t.Helper()
	checked, err := p.Store.CheckChallenge(p.t.Context(), p.attempt(code))
	if err != nil {
		p.t.Fatalf("CheckChallenge: %v", err)
	}
	return checked
}

// try checks a code and compares status and tries left.
func (p *place) try(code string, status storage.CheckStatus, triesLeft int) {
	p.t.Helper()
	checked := p.check(code)
	if checked.Status != status || checked.TriesLeft != triesLeft {
		p.t.Fatalf("check = %s, %d left; want %s, %d left", checked.Status, checked.TriesLeft, status, triesLeft)
	}
}

func (p *place) challenge() storage.Challenge {
	p.t.Helper()
	c, err := p.Store.Challenge(p.t.Context(), p.id)
	if err != nil {
		p.t.Fatalf("Challenge: %v", err)
	}
	return c
}

// elapse moves the time that the store is told. TTLs run on the server's clock
// and do not move.
func (p *place) elapse(d time.Duration) { p.now = p.now.Add(d) }

// buckets returns how full the limits' keys are, to compare before and after.
func (p *place) buckets() map[string]string {
	p.t.Helper()
	out := map[string]string{}
	for _, key := range p.keys("handset:{codes}:limit:*") {
		value, err := p.Raw.Get(p.t.Context(), key).Result()
		if err != nil {
			p.t.Fatal(err)
		}
		out[key] = value
	}
	return out
}

func (p *place) keys(pattern string) []string {
	p.t.Helper()
	var out []string
	scan := p.Raw.Scan(p.t.Context(), 0, pattern, 100).Iterator()
	for scan.Next(p.t.Context()) {
		out = append(out, scan.Val())
	}
	if err := scan.Err(); err != nil {
		p.t.Fatal(err)
	}
	return out
}
