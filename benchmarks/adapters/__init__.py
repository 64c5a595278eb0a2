"""Peers, each brought to the shapes that are measured; ``benchmarks.peers`` drives them.

An adapter has ``PARTS`` (what only it measures) and, if it can hold a conversation, ``chat(file, replies)``, which gives a
function of question and session, and ``agents(file, tools)``, which gives a function that makes an agent and says how to ask
it. No module of graphflow is loaded beside them.
"""
