"""Golden texts, and sentences in languages that the model does not know; all written for this file.

None is of the guide, so that they may be shipped with the model.
"""

from __future__ import annotations

TEXTS = {
    "german.txt": "Morgen fahren wir mit dem Zug ans Meer, wenn das Wetter so schön bleibt.",
    "greek.txt": "Αύριο θα πάμε στη θάλασσα με το τρένο, αν ο καιρός μείνει καλός.",
    "japanese.txt": "天気がよければ、明日は電車で海へ行きます。",
    "portuguese.txt": "Amanhã vamos de comboio até ao mar, se o tempo continuar assim tão bom.",
    "short.txt": "ok",
    "turkish.txt": "Hava böyle güzel kalırsa yarın trenle denize gideceğiz.",
}
"""File name to text. The model knows neither Turkish nor what language "ok" is."""

FOREIGN_CHECKS = (
    "Jutro pojedziemy pociągiem nad morze, jeśli pogoda będzie ładna.",
    "Jos sää pysyy kauniina, matkustamme huomenna junalla meren rannalle.",
    "Holnap vonattal megyünk a tengerhez, ha ilyen szép marad az idő.",
    "Homme sõidame rongiga mere äärde, kui ilm ilusaks jääb.",
    "غدا سنذهب بالقطار إلى البحر إذا بقي الطقس جميلا.",
    "यदि मौसम अच्छा रहा तो कल हम रेलगाड़ी से समुद्र तट जाएँगे।",
    "พรุ่งนี้เราจะนั่งรถไฟไปทะเลถ้าอากาศดี",
    "Nesër do të shkojmë me tren në det, nëse koha mbetet e mirë.",
    "Kesho tutasafiri kwa treni hadi baharini kama hali ya hewa ni nzuri.",
    "Bihar trenez joango gara itsasora, eguraldi ona badago.",
)
"""They choose the threshold: Polish, Finnish, Hungarian, Estonian, Arabic, Hindi, Thai, Albanian,
Swahili, Basque."""

FOREIGN_TESTS = (
    "Hava böyle güzel kalırsa yarın trenle denize gideceğiz.",
    "Rīt mēs brauksim ar vilcienu uz jūru, ja laiks būs labs.",
    "Rytoj važiuosime traukiniu prie jūros, jei oras bus gražus.",
    "Á morgun förum við með lest að sjónum ef veðrið verður gott.",
    "Yfory byddwn yn mynd ar y trên i'r môr os bydd y tywydd yn braf.",
    "Amárach rachaimid ar an traein go dtí an fharraige má bhíonn an aimsir go breá.",
    "מחר ניסע ברכבת אל הים אם מזג האוויר יישאר יפה.",
    "ხვალ მატარებლით ზღვაზე წავალთ, თუ კარგი ამინდი იქნება.",
    "আবহাওয়া ভালো থাকলে আগামীকাল আমরা ট্রেনে সমুদ্রে যাব।",
    "Վաղը գնացքով ծով կգնանք, եթե եղանակը լավ լինի։",
    "நாளை வானிலை நன்றாக இருந்தால் ரயிலில் கடலுக்குச் செல்வோம்.",
    "Għada mmorru bil-ferrovija lejn il-baħar jekk it-temp ikun sabiħ.",
    "Sutra idemo vlakom na more ako vrijeme ostane lijepo.",
    "Morgaŭ ni veturos per trajno al la maro, se la vetero restos bela.",
)
"""Nothing is chosen by them: Turkish, Latvian, Lithuanian, Icelandic, Welsh, Irish, Hebrew,
Georgian, Bengali, Armenian, Tamil, Maltese, Croatian, Esperanto."""
