"""
Attack a spam filter
====================

A spam filter learns from messages that its users have labelled, and anybody can send messages. How many does it take to get
one message through, and how many to make the filter useless? (Enron1: 4,137 messages to learn from.)
"""

# %%
# The filter: a linear SVM on which of the 200 most frequent words occur in a message.

import numpy as np
from matplotlib import pyplot as plt

import convexpoison as cp

enron = cp.datasets.load("enron1")
frequent = np.argsort(-np.asarray((enron.X_train > 0).sum(axis=0)).ravel(), kind="stable")[:200]
words = np.array(enron.feature_names)[frequent]
X, X_test = ((rows[:, frequent] > 0).toarray().astype(float) for rows in (enron.X_train, enron.X_test))
y, y_test = enron.y_train, enron.y_test

victim = cp.Victim("hinge", C_R=0.01)
clean = victim.fit(X, y)
is_spam = y_test == 1
says_ham = clean.predict(X_test) == 0
print(f"test error {np.mean(says_ham == is_spam):.1%}, spam let through {np.mean(says_ham[is_spam]):.1%}")

# %%
# One message
# -----------
# A spam message of the test rows that the filter recognises with a median score. The possible poison messages are a space:
# every word from 0 (absent) to 1 (present). Values between are a relaxation: its bound holds for 0 and 1 as well, while the
# attack's messages may have fractions of words.

space = cp.Space.box(0.0, 1.0, n_features=X.shape[1])
scores = clean.decision_function(X_test)
caught = np.flatnonzero(is_spam & (scores > 0))
message = caught[np.argsort(scores[caught])[caught.size // 2]]
print("the message has", ", ".join(words[X_test[message] > 0][:12]))

goal = cp.goals.Flip(X_test[message], label=1)
bound = cp.lower_bound(goal, (X, y), victim=victim, space=space)
result = cp.attack(goal, (X, y), victim=victim, space=space, max_points=100)
print(f"{result.n_points} poison messages get it through; fewer than {bound.n_points} certainly do not")

# %%
# What the attacker sends, and the words whose weights it moves most:

for point, label, count in zip(result.points, result.labels, result.counts, strict=True):
    there = words[point > 0.5]
    print(f"{count} x labelled {'spam' if label == 1 else 'ham'}, {there.size} words:", ", ".join(there[:12]), "...")

moved = result.model.coef - clean.coef
most = np.argsort(moved)[[*range(8), *range(-8, 0)]]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.barh(words[most], moved[most], color=np.where(moved[most] < 0, "#0072B2", "#D55E00"))
ax.set(xlabel="what they do to a word's weight (to the right: spam)")

# %%
# The whole filter
# ----------------
# For a model of the attacker's own choice, here one that errs on a fifth of the messages, the bracket closes: the least number
# of messages that makes the victim learn exactly this model, and the certificate that fewer are not enough.

target = cp.targets.label_flip(victim, (X, y), error=0.2, evaluate=(X_test, y_test)).model
exact = cp.attack(target, (X, y), victim=victim, space=space, method="optimal", test_data=(X_test, y_test))
print(exact.summary())
