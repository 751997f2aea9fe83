/* The election of docs/election.md for 4 peers, for spin. check.sh runs it.
 *
 * At first peer 3 leads term 1, and all follow it. Ranks are the numbers: 3 is the best candidate. Then CRASHES peers die,
 * each at any moment, with what was sent to them; RESTARTS come back with the term that they persisted and nothing else;
 * DOUBTS times a peer finds a tracker lost that lives (a cut connection, or a hung tracker). Every peer has a channel from
 * every other, in which LOSSES messages are lost, and all wait for any time, so that they overtake each other.
 *
 * Time is not in the model: any wait may end at any moment. So all that is shown here holds for every choice of
 * time-outs. What time-outs add in the code is only that few speak.
 *
 * Messages are summaries of those of the code:
 *   ELECTION(term, by)       asks for better ones
 *   ANSWER(term, by)         a better one is there
 *   COORD(term, leader)      the announcement; relayed once by each who accepts it
 * The regular comparison of neighbours (Summary) is a step of its own: it sends COORD to a neighbour that knows less. The
 * hand-over to a better candidate in calm (Resign) is one step.
 *
 * Shown: nobody ever follows a lower term than it has seen, nor goes back from (term, rank) to a lower one (asserts in
 * accept); and whenever nothing can happen any more, nobody is left in the middle of an election, and all who live follow
 * one leader, the best of them, who leads (asserts in Calm).
 */

#ifndef N
#define N 4
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef DOUBTS
#define DOUBTS 1
#endif
#ifndef MAXTERM
#define MAXTERM 5
#endif
#ifndef ABSENT
#define ABSENT 0       /* peers 0 to ABSENT - 1 are not there: that makes room for more trouble */
#endif
#define NOBODY 15

mtype = { IDLE, WAIT, ELECT, YIELD, LEAD };

bool alive[N];
byte term[N];           /* persisted: survives a crash */
byte rterm[N];          /* the lead that the peer follows: its term ... */
byte leader[N];         /* ... and who */
mtype phase[N];

/* A message in flight to i from j: at most one of each kind is kept, the latest; that is loss and reordering enough. */
byte coordTerm[N * N];  byte coordBy[N * N];   /* 0: none */
byte electTerm[N * N];
bool answer[N * N];

byte losses = LOSSES;

#define AT(to, from) ((to) * N + (from))
/* The higher (term, rank) takes precedence; NOBODY never does. */
#define ABOVE(t1, l1, t2, l2) ((l1) != NOBODY && ((t1) > (t2) || ((t1) == (t2) && ((l2) == NOBODY || (l1) > (l2)))))

inline sendCoord(sm, sx) {
	for (k : 0 .. N - 1) {
		if
		:: k != sm && k != sx && alive[k] &&
		   (coordTerm[AT(k, sm)] == 0 || ABOVE(rterm[sm], leader[sm], coordTerm[AT(k, sm)], coordBy[AT(k, sm)])) ->
			coordTerm[AT(k, sm)] = rterm[sm]; coordBy[AT(k, sm)] = leader[sm]
		:: else
		fi
	}
	k = 0
}

inline take(tm) {       /* tm becomes the leader of the next term */
	term[tm] = term[tm] + 1;
	rterm[tm] = term[tm];
	leader[tm] = tm;
	phase[tm] = LEAD;
	sendCoord(tm, tm)
}

inline accept(am, af, at, al) {
	if
#ifdef BUG_LOWER        /* planted: accepts whatever comes */
	:: al != am ->
#else
	:: al != am && at >= term[am] && ABOVE(at, al, rterm[am], leader[am]) ->
#endif
		assert(at >= term[am]);                          /* nobody follows a lower term than its own */
		assert(at > rterm[am] || leader[am] == NOBODY || at == rterm[am] && al > leader[am]);
		if :: at > term[am] -> term[am] = at :: else fi;
		rterm[am] = at; leader[am] = al;
		phase[am] = IDLE;                               /* a leader steps down here */
		sendCoord(am, af)
	:: al == am && phase[am] != LEAD && at >= term[am] && ABOVE(at, al, rterm[am], leader[am]) ->
		term[am] = at; rterm[am] = at; leader[am] = am;   /* a ghost: its own earlier life. It is lost. */
		phase[am] = WAIT
	:: else
	fi
}

#define PENDING(to, by) (coordTerm[AT(to, by)] > 0 || electTerm[AT(to, by)] > 0 || answer[AT(to, by)])
#define BEHIND(other, own) (other != own && alive[other] && coordTerm[AT(other, own)] == 0 && term[other] <= rterm[own] && \
	ABOVE(rterm[own], leader[own], rterm[other], leader[other]))
#define SHOW(other, own) coordTerm[AT(other, own)] = rterm[own]; coordBy[AT(other, own)] = leader[own]

inline pick(pv) { if :: ABSENT < 1 -> pv = 0 :: ABSENT < 2 -> pv = 1 :: pv = 2 :: pv = 3 fi }

/* One message from j, of any kind there is; or its loss. */
inline receive(rm) {
	if
	:: coordTerm[AT(rm, j)] > 0 ->
		t = coordTerm[AT(rm, j)]; l = coordBy[AT(rm, j)];
		coordTerm[AT(rm, j)] = 0; coordBy[AT(rm, j)] = 0;
		if
		:: losses > 0 -> losses--
		:: accept(rm, j, t, l)
		fi
	:: electTerm[AT(rm, j)] > 0 ->
		t = electTerm[AT(rm, j)]; electTerm[AT(rm, j)] = 0;
		if
		:: losses > 0 -> losses--
		:: leader[rm] != NOBODY && t <= rterm[rm] ->       /* it has not heard what was decided since */
			if :: alive[j] -> SHOW(j, rm) :: else fi
		:: leader[rm] == NOBODY || t > rterm[rm] ->        /* a better one is here: the sender may not go on */
			if :: alive[j] -> answer[AT(j, rm)] = true :: else fi;
			if :: phase[rm] == IDLE && term[rm] < MAXTERM -> phase[rm] = WAIT :: else fi
		fi
	:: answer[AT(rm, j)] ->
		answer[AT(rm, j)] = false;
		if
		:: losses > 0 -> losses--
		:: phase[rm] == ELECT -> phase[rm] = YIELD
		:: phase[rm] != ELECT
		fi
	fi;
	j = 0; t = 0; l = 0
}

proctype Peer(byte me) {
	byte j, k, t, l;
end:	do
	/* Its tracker is dead, or no longer one, or there never was one. */
	:: atomic { alive[me] && phase[me] == IDLE && term[me] < MAXTERM &&
		(leader[me] == NOBODY || !alive[leader[me]] || phase[leader[me]] != LEAD) -> phase[me] = WAIT }

	/* The turn has come: as the best, or asking for better ones first. */
	:: atomic { alive[me] && phase[me] == WAIT && term[me] < MAXTERM -> k = me + 1;
		if
		:: k >= N -> take(me)
		:: else ->
			do
			:: k < N -> if :: alive[k] -> electTerm[AT(k, me)] = term[me] + 1 :: else fi; k++
			:: else -> break
			od;
			k = 0; phase[me] = ELECT
		fi; k = 0 }
	/* Nobody answered in time. */
	:: atomic { alive[me] && phase[me] == ELECT && term[me] < MAXTERM -> take(me) }
	/* The better one did not announce itself in time. */
	:: atomic { alive[me] && phase[me] == YIELD -> phase[me] = WAIT }
	/* The tracker is vouched for, or answers again. */
	:: atomic { alive[me] && (phase[me] == WAIT || phase[me] == ELECT || phase[me] == YIELD) &&
		leader[me] != NOBODY && leader[me] != me && alive[leader[me]] && phase[leader[me]] == LEAD -> phase[me] = IDLE }
	/* In calm the leader hands over to a better one that follows it. */
	:: atomic { alive[me] && phase[me] == IDLE && leader[me] < me && alive[leader[me]] && phase[leader[me]] == LEAD &&
		rterm[leader[me]] == rterm[me] && term[me] < MAXTERM -> take(me) }

	/* Messages. */
	:: atomic { alive[me] && PENDING(me, 0) -> j = 0; receive(me) }
	:: atomic { alive[me] && PENDING(me, 1) -> j = 1; receive(me) }
	:: atomic { alive[me] && PENDING(me, 2) -> j = 2; receive(me) }
	:: atomic { alive[me] && PENDING(me, 3) -> j = 3; receive(me) }

#ifndef BUG_LOST        /* planted: what is lost is never made good */
	/* Comparison: a neighbour that knows less is shown the announcement. */
	:: atomic { alive[me] && BEHIND(0, me) -> SHOW(0, me) }
	:: atomic { alive[me] && BEHIND(1, me) -> SHOW(1, me) }
	:: atomic { alive[me] && BEHIND(2, me) -> SHOW(2, me) }
	:: atomic { alive[me] && BEHIND(3, me) -> SHOW(3, me) }
#endif
	/* ... and one whose term is above the leader's makes the leader go above it. */
	:: atomic { alive[me] && phase[me] == LEAD && term[me] < MAXTERM && alive[0] && term[0] > term[me] && leader[0] == NOBODY -> term[me] = term[0]; take(me) }
	:: atomic { alive[me] && phase[me] == LEAD && term[me] < MAXTERM && alive[1] && term[1] > term[me] && leader[1] == NOBODY -> term[me] = term[1]; take(me) }
	:: atomic { alive[me] && phase[me] == LEAD && term[me] < MAXTERM && alive[2] && term[2] > term[me] && leader[2] == NOBODY -> term[me] = term[2]; take(me) }
	:: atomic { alive[me] && phase[me] == LEAD && term[me] < MAXTERM && alive[3] && term[3] > term[me] && leader[3] == NOBODY -> term[me] = term[3]; take(me) }
	od
}

/* What goes wrong, and when it has. */
active proctype Trouble() {
	byte c = CRASHES, r = RESTARTS, d = DOUBTS, i, k;
	do
	:: atomic { c > 0 -> pick(i);
		if
		:: alive[i] -> c--; alive[i] = false; phase[i] = IDLE; leader[i] = NOBODY; rterm[i] = 0;
			for (k : 0 .. N - 1) {
				coordTerm[AT(i, k)] = 0; coordBy[AT(i, k)] = 0; electTerm[AT(i, k)] = 0; answer[AT(i, k)] = false
			}
			k = 0
		:: else
		fi; i = 0 }
	:: atomic { r > 0 -> pick(i); if :: !alive[i] -> r--; alive[i] = true :: else fi; i = 0 }
	:: atomic { d > 0 -> pick(i);
		if :: alive[i] && phase[i] == IDLE && leader[i] != NOBODY -> d--; phase[i] = WAIT :: else fi; i = 0 }
	:: atomic { true -> c = 0; r = 0; d = 0; break }
	od
}

active proctype Calm() {
	byte i, best = NOBODY, leads;
end:	timeout ->
	atomic {
		for (i : 0 .. N - 1) {
			/* The numbers of the model are used up: nothing can be said of this run. */
			if :: term[i] >= MAXTERM -> goto over :: else fi;
			if :: alive[i] -> best = i; assert(phase[i] == IDLE || phase[i] == LEAD) :: else fi;
			if :: alive[i] && phase[i] == LEAD -> leads++ :: else fi
		}
		assert(best == NOBODY || leads == 1);
		for (i : 0 .. N - 1) { assert(!alive[i] || leader[i] == best && rterm[i] == rterm[best]) }
	}
over:	skip
}

init {
	byte i;
	atomic {
		for (i : 0 .. N - 1) { alive[i] = i >= ABSENT; term[i] = 1; rterm[i] = 1; leader[i] = N - 1; phase[i] = IDLE }
		phase[N - 1] = LEAD; i = 0;
		run Peer(0); run Peer(1); run Peer(2); run Peer(3)
	}
}
