-- The types of their own that values.jsonl uses.
CREATE TYPE mood AS ENUM ('sad', 'it''s "so"', 'ä', 'a,b {c}\d', 'NULL');
CREATE DOMAIN positive AS int4 CHECK (VALUE > 0);
CREATE DOMAIN label AS text;
CREATE DOMAIN inner_document AS jsonb;
CREATE DOMAIN document AS inner_document;
CREATE DOMAIN numbers AS int4[];
CREATE DOMAIN moment AS timestamptz;
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN feeling AS mood;
CREATE DOMAIN days AS daterange;
CREATE TYPE span AS RANGE (subtype = timestamptz, multirange_type_name = spans);
